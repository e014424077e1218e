/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_SERIAL_UART16550_H
#define DEVICES_SERIAL_UART16550_H

/*
 * The 16550A: eight registers, two FIFOs, one interrupt.  It does not know its bus; a device that
 * does embeds it, maps its registers and nests uart16550_vmstate.
 *
 *     guest -- THR --> out buffer -- at a newline, 256 bytes or 1 ms --> chardev
 *     guest <- RBR --- FIFO of 16 <------------------------------------- chardev
 *
 * The out buffer is the line, not the FIFO: what is in it counts as sent.  It makes one write to
 * the host out of a line of text: a write for each character costs a vCPU 2 to 4 us instead of 0.1,
 * a tenth of a second in a kernel's boot.
 *
 * When the back end takes nothing more, the buffer fills up; then the transmitter is no longer
 * empty (LSR.THRE) until the back end moves on, and reading LSR waits for that for a millisecond so
 * that a polling guest does not burn its CPU or give up too soon.
 *
 * Characters arrive in bursts with nothing in between, so a FIFO below its trigger level reports
 * its time-out at once.
 */

#include "devices/backend/chardev.h"
#include "devices/irqline.h"
#include "util/lock.h"
#include "util/loop.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct VmStateDesc VmStateDesc;

#define UART16550_REGISTERS 8
#define UART16550_FIFO      16
#define UART16550_OUT       4096

typedef struct Uart16550Config {
    IrqLine irq;
    Chardev *chardev; /* NULL: output is dropped, nothing comes in */
    Loop *loop;       /* the chardev's */
} Uart16550Config;

typedef struct Uart16550 {
    /* fixed after init */
    IrqLine irq;
    Chardev *chardev;
    LoopTimer *flush_timer;

    Mutex lock;
    /* guarded by lock: registers */
    uint8_t ier;
    uint8_t fcr;
    uint8_t lcr;
    uint8_t mcr;
    uint8_t lsr_errors;
    uint8_t msr;
    uint8_t scr;
    uint16_t divisor;
    uint8_t thr_pending; /* the THR-empty interrupt was not acknowledged yet */
    uint8_t rx[UART16550_FIFO];
    uint8_t rx_count;
    /* guarded by lock: the line */
    uint8_t out[UART16550_OUT];
    uint32_t out_len;
    bool flush_armed;
    bool drained;
    /* of a save or a load only */
    uint8_t *saved_out;
    uint32_t saved_out_len;
} Uart16550;

extern const VmStateDesc uart16550_vmstate;

/* Loop thread, as everything here but read and write. */
void uart16550_init(Uart16550 *uart);
void uart16550_fini(Uart16550 *uart); /* sends the last characters, waiting a little for them */

/* Takes the chardev, which must outlive the UART. */
bool uart16550_connect(Uart16550 *uart, const Uart16550Config *config, GError **error);

void uart16550_reset(Uart16550 *uart);
void uart16550_drain(Uart16550 *uart);
void uart16550_resume(Uart16550 *uart);

/* vCPU threads.  reg < UART16550_REGISTERS. */
uint8_t uart16550_read(Uart16550 *uart, unsigned reg);
void uart16550_write(Uart16550 *uart, unsigned reg, uint8_t value);

#endif
