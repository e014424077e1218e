/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console: the first 16550, polled.  Register offsets are here for the payloads that test the
 * chip itself.
 */
#ifndef TESTS_GUEST_LIB_SERIAL_H
#define TESTS_GUEST_LIB_SERIAL_H

#define SERIAL_PORT     0x3f8
#define SERIAL_IRQ      4

#define SERIAL_RBR      0 /* data in and out; divisor low while LCR.DLAB is set */
#define SERIAL_IER      1 /* divisor high while LCR.DLAB is set */
#define SERIAL_IIR      2 /* FCR when written */
#define SERIAL_LCR      3
#define SERIAL_MCR      4
#define SERIAL_LSR      5
#define SERIAL_MSR      6
#define SERIAL_SCR      7

#define SERIAL_IER_RDA  0x01
#define SERIAL_IER_THRE 0x02
#define SERIAL_IER_RLS  0x04
#define SERIAL_IER_MSI  0x08
#define SERIAL_LCR_DLAB 0x80
#define SERIAL_LSR_DR   0x01
#define SERIAL_LSR_OE   0x02
#define SERIAL_LSR_THRE 0x20
#define SERIAL_LSR_TEMT 0x40
#define SERIAL_MCR_OUT2 0x08 /* lets the interrupt out of the chip */
#define SERIAL_MCR_LOOP 0x10

#ifndef __ASSEMBLER__

#include <stdint.h>

/* 8n1, FIFOs on, no interrupts: what everything else in lib/ counts on. */
void serial_init(void);

uint8_t serial_read_register(unsigned offset);
void serial_write_register(unsigned offset, uint8_t value);

void serial_put(char c);

/* Waits for a byte. */
uint8_t serial_get(void);

#endif
#endif
