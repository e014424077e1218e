/* SPDX-License-Identifier: Apache-2.0 */
/* Polled 16550: no interrupt, so that it works in every state a payload gets itself into. */
#include "tests/guest/lib/serial.h"

#include "tests/guest/lib/x86.h"

uint8_t serial_read_register(unsigned offset)
{
    return port_read8((uint16_t)(SERIAL_PORT + offset));
}

void serial_write_register(unsigned offset, uint8_t value)
{
    port_write8((uint16_t)(SERIAL_PORT + offset), value);
}

void serial_init(void)
{
    serial_write_register(SERIAL_LCR, SERIAL_LCR_DLAB);
    serial_write_register(SERIAL_RBR, 1);
    serial_write_register(SERIAL_IER, 0);
    serial_write_register(SERIAL_LCR, 0x03);
    serial_write_register(SERIAL_IER, 0);
    serial_write_register(SERIAL_IIR, 0x01);
    serial_write_register(SERIAL_MCR, 0x03);
}

void serial_put(char c)
{
    while (!(serial_read_register(SERIAL_LSR) & SERIAL_LSR_THRE)) {
        cpu_relax();
    }
    serial_write_register(SERIAL_RBR, (uint8_t)c);
}

uint8_t serial_get(void)
{
    while (!(serial_read_register(SERIAL_LSR) & SERIAL_LSR_DR)) {
        cpu_relax();
    }
    return serial_read_register(SERIAL_RBR);
}
