/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt is a level computed from the registers; uart_update_locked pulls the wire to it
 * after every change.  On an edge-triggered pin that is right too, because each cause of an
 * interrupt drops when the guest acknowledges it.
 */
#include "devices/serial/uart16550.h"

#include "migration/vmstate.h"
#include "util/error.h"

#include <string.h>

/* Registers; the names that share a number depend on direction and on LCR_DLAB. */
#define REG_DATA        0
#define REG_IER         1
#define REG_IIR_FCR     2
#define REG_LCR         3
#define REG_MCR         4
#define REG_LSR         5
#define REG_MSR         6
#define REG_SCR         7

#define IER_RX          0x01
#define IER_THR_EMPTY   0x02
#define IER_LINE        0x04
#define IER_MODEM       0x08
#define IER_MASK        0x0f

#define IIR_NONE        0x01
#define IIR_MODEM       0x00
#define IIR_THR_EMPTY   0x02
#define IIR_RX          0x04
#define IIR_LINE        0x06
#define IIR_RX_TIMEOUT  0x0c
#define IIR_FIFOS       0xc0

#define FCR_ENABLE      0x01
#define FCR_CLEAR_RX    0x02
#define FCR_KEPT        0xc9
#define FCR_LEVEL_SHIFT 6

#define LCR_DLAB        0x80

#define MCR_DTR         0x01
#define MCR_RTS         0x02
#define MCR_OUT1        0x04
#define MCR_OUT2        0x08
#define MCR_LOOP        0x10
#define MCR_MASK        0x1f

#define LSR_DATA        0x01
#define LSR_OVERRUN     0x02
#define LSR_BREAK       0x10
#define LSR_ERRORS      0x1e
#define LSR_EMPTY       0x60 /* holding register and transmitter */

#define MSR_DELTAS      0x0f
#define MSR_CTS         0x10
#define MSR_DSR         0x20
#define MSR_RI          0x40
#define MSR_DCD         0x80
#define MSR_RI_DELTA    0x04

#define FLUSH_AT        256
#define FLUSH_DELAY_NS  1000000
#define LSR_WAIT_MS     1
#define LAST_WORDS_MS   500

#define DIVISOR_RESET   12 /* 9600 baud */

static bool uart_has_fifo(const Uart16550 *u)
{
    return (u->fcr & FCR_ENABLE) != 0;
}

/* A guest that sees an empty transmitter may send a whole FIFO. */
static bool uart_has_room(const Uart16550 *u)
{
    return u->out_len <= UART16550_OUT - UART16550_FIFO;
}

/* ---- interrupt ---- */

static uint8_t uart_cause(const Uart16550 *u)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    if ((u->ier & IER_LINE) && u->lsr_errors) {
        return IIR_LINE;
    }
    if ((u->ier & IER_RX) && u->rx_count > 0) {
        bool timeout = uart_has_fifo(u) && u->rx_count < levels[u->fcr >> FCR_LEVEL_SHIFT];

        return timeout ? IIR_RX_TIMEOUT : IIR_RX;
    }
    if ((u->ier & IER_THR_EMPTY) && u->thr_pending) {
        return IIR_THR_EMPTY;
    }
    return (u->ier & IER_MODEM) && (u->msr & MSR_DELTAS) ? IIR_MODEM : IIR_NONE;
}

static void uart_update_locked(Uart16550 *u) REQUIRES(u->lock)
{
    irq_set(&u->irq, uart_cause(u) != IIR_NONE);
}

/* ---- output ---- */

static void uart_flush_locked(Uart16550 *u) REQUIRES(u->lock)
{
    bool had_room = uart_has_room(u);
    size_t done = u->out_len;

    if (u->drained || u->out_len == 0) {
        return;
    }
    if (u->chardev) {
        done = chardev_write(u->chardev, u->out, u->out_len);
    }
    u->out_len -= (uint32_t)done;
    memmove(u->out, u->out + done, u->out_len);
    if (!had_room && uart_has_room(u)) {
        u->thr_pending = 1;
        uart_update_locked(u);
    }
}

static void uart_flush(void *opaque)
{
    Uart16550 *u = opaque;

    mutex_lock(&u->lock);
    u->flush_armed = false;
    uart_flush_locked(u);
    mutex_unlock(&u->lock);
}

static void uart_flush_later_locked(Uart16550 *u) REQUIRES(u->lock)
{
    if (!u->flush_armed && u->flush_timer) {
        u->flush_armed = true;
        loop_timer_arm(u->flush_timer, loop_now_ns() + FLUSH_DELAY_NS);
    }
}

static void uart_push_rx_locked(Uart16550 *u, uint8_t byte) REQUIRES(u->lock)
{
    if (u->rx_count < (uart_has_fifo(u) ? UART16550_FIFO : 1)) {
        u->rx[u->rx_count++] = byte;
    } else {
        u->lsr_errors |= LSR_OVERRUN;
    }
}

/* Writing while the transmitter is not empty is an overrun, as on the chip: the byte is lost. */
static void uart_send_locked(Uart16550 *u, uint8_t byte) REQUIRES(u->lock)
{
    if (u->mcr & MCR_LOOP) {
        uart_push_rx_locked(u, byte);
    } else if (u->out_len < UART16550_OUT) {
        u->out[u->out_len++] = byte;
        if (byte == '\n' || u->out_len >= FLUSH_AT) {
            uart_flush_locked(u);
        } else {
            uart_flush_later_locked(u);
        }
    }
    u->thr_pending = uart_has_room(u);
    uart_update_locked(u);
}

/* ---- input ---- */

static size_t uart_can_receive(void *opaque)
{
    Uart16550 *u = opaque;
    size_t room = 0;

    mutex_lock(&u->lock);
    if (!u->drained && !(u->mcr & MCR_LOOP)) {
        size_t capacity = uart_has_fifo(u) ? UART16550_FIFO : 1;

        room = capacity > u->rx_count ? capacity - u->rx_count : 0;
    }
    mutex_unlock(&u->lock);
    return room;
}

static void uart_receive(void *opaque, const uint8_t *data, size_t len)
{
    Uart16550 *u = opaque;

    mutex_lock(&u->lock);
    for (size_t i = 0; i < len; i++) {
        uart_push_rx_locked(u, data[i]);
    }
    uart_update_locked(u);
    mutex_unlock(&u->lock);
}

static void uart_event(void *opaque, ChardevEvent event)
{
    Uart16550 *u = opaque;

    if (event == CHARDEV_BREAK) {
        mutex_lock(&u->lock);
        uart_push_rx_locked(u, 0);
        u->lsr_errors |= LSR_BREAK;
        uart_update_locked(u);
        mutex_unlock(&u->lock);
    }
}

static const ChardevFrontend uart_frontend = {
    .can_receive = uart_can_receive,
    .receive = uart_receive,
    .writable = uart_flush,
    .event = uart_event,
};

static void uart_accept_input(Uart16550 *u)
{
    if (u->chardev) {
        chardev_accept_input(u->chardev);
    }
}

static uint8_t uart_pop_rx_locked(Uart16550 *u) REQUIRES(u->lock)
{
    uint8_t byte = u->rx[0];

    if (u->rx_count > 0) {
        u->rx_count--;
        memmove(u->rx, u->rx + 1, u->rx_count);
        uart_update_locked(u);
        uart_accept_input(u);
    }
    return byte;
}

/* ---- modem lines ---- */

/* The far end is always ready; in loop-back our own outputs come back. */
static uint8_t uart_modem_lines(uint8_t mcr)
{
    if (!(mcr & MCR_LOOP)) {
        return MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
           (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void uart_set_modem_lines_locked(Uart16550 *u) REQUIRES(u->lock)
{
    uint8_t lines = uart_modem_lines(u->mcr);
    uint8_t changed = (uint8_t)((u->msr ^ lines) >> 4);

    if (lines & MSR_RI) {
        changed &= (uint8_t)~MSR_RI_DELTA; /* the ring indicator reports its end only */
    }
    u->msr = lines | (u->msr & MSR_DELTAS) | changed;
}

/* ---- registers ---- */

static uint8_t uart_read_iir_locked(Uart16550 *u) REQUIRES(u->lock)
{
    uint8_t cause = uart_cause(u);

    if (cause == IIR_THR_EMPTY) {
        u->thr_pending = 0;
        uart_update_locked(u);
    }
    return cause | (uart_has_fifo(u) ? IIR_FIFOS : 0);
}

static uint8_t uart_read_lsr_locked(Uart16550 *u) REQUIRES(u->lock)
{
    uint8_t value;

    if (!uart_has_room(u) && u->chardev && chardev_wait_writable(u->chardev, LSR_WAIT_MS)) {
        uart_flush_locked(u);
    }
    value = u->lsr_errors | (u->rx_count > 0 ? LSR_DATA : 0) | (uart_has_room(u) ? LSR_EMPTY : 0);
    u->lsr_errors = 0;
    uart_update_locked(u);
    return value;
}

static uint8_t uart_read_msr_locked(Uart16550 *u) REQUIRES(u->lock)
{
    uint8_t value = u->msr;

    u->msr &= (uint8_t)~MSR_DELTAS;
    uart_update_locked(u);
    return value;
}

static uint8_t uart_read_locked(Uart16550 *u, unsigned reg) REQUIRES(u->lock)
{
    bool dlab = (u->lcr & LCR_DLAB) != 0;

    switch (reg) {
    case REG_DATA:
        return dlab ? (uint8_t)u->divisor : uart_pop_rx_locked(u);
    case REG_IER:
        return dlab ? (uint8_t)(u->divisor >> 8) : u->ier;
    case REG_IIR_FCR:
        return uart_read_iir_locked(u);
    case REG_LCR:
        return u->lcr;
    case REG_MCR:
        return u->mcr;
    case REG_LSR:
        return uart_read_lsr_locked(u);
    case REG_MSR:
        return uart_read_msr_locked(u);
    case REG_SCR:
    default:
        return u->scr;
    }
}

uint8_t uart16550_read(Uart16550 *u, unsigned reg)
{
    uint8_t value;

    mutex_lock(&u->lock);
    value = uart_read_locked(u, reg);
    mutex_unlock(&u->lock);
    return value;
}

static void uart_write_ier_locked(Uart16550 *u, uint8_t value) REQUIRES(u->lock)
{
    value &= IER_MASK;
    if ((value & ~u->ier) & IER_THR_EMPTY) {
        u->thr_pending = uart_has_room(u);
    }
    u->ier = value;
    uart_update_locked(u);
}

static void uart_write_fcr_locked(Uart16550 *u, uint8_t value) REQUIRES(u->lock)
{
    if ((value & FCR_CLEAR_RX) || ((value ^ u->fcr) & FCR_ENABLE)) {
        u->rx_count = 0;
        uart_accept_input(u);
    }
    u->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    uart_update_locked(u);
}

static void uart_write_mcr_locked(Uart16550 *u, uint8_t value) REQUIRES(u->lock)
{
    u->mcr = value & MCR_MASK;
    uart_set_modem_lines_locked(u);
    uart_update_locked(u);
    uart_accept_input(u);
}

static void uart_write_locked(Uart16550 *u, unsigned reg, uint8_t value) REQUIRES(u->lock)
{
    bool dlab = (u->lcr & LCR_DLAB) != 0;

    switch (reg) {
    case REG_DATA:
        if (dlab) {
            u->divisor = (uint16_t)((u->divisor & 0xff00) | value);
        } else {
            uart_send_locked(u, value);
        }
        break;
    case REG_IER:
        if (dlab) {
            u->divisor = (uint16_t)((u->divisor & 0xff) | value << 8);
        } else {
            uart_write_ier_locked(u, value);
        }
        break;
    case REG_IIR_FCR:
        uart_write_fcr_locked(u, value);
        break;
    case REG_LCR:
        u->lcr = value;
        break;
    case REG_MCR:
        uart_write_mcr_locked(u, value);
        break;
    case REG_SCR:
        u->scr = value;
        break;
    default:
        break; /* LSR and MSR are read-only */
    }
}

void uart16550_write(Uart16550 *u, unsigned reg, uint8_t value)
{
    mutex_lock(&u->lock);
    uart_write_locked(u, reg, value);
    mutex_unlock(&u->lock);
}

/* ---- life ---- */

/* What is in the out buffer was sent; a reset does not call it back. */
static void uart_reset_locked(Uart16550 *u) REQUIRES(u->lock)
{
    u->ier = 0;
    u->fcr = 0;
    u->lcr = 0;
    u->mcr = 0;
    u->lsr_errors = 0;
    u->msr = uart_modem_lines(0);
    u->scr = 0;
    u->divisor = DIVISOR_RESET;
    u->thr_pending = 0;
    u->rx_count = 0;
    memset(u->rx, 0, sizeof(u->rx));
    uart_update_locked(u);
}

void uart16550_init(Uart16550 *u)
{
    mutex_init(&u->lock);
    mutex_lock(&u->lock);
    uart_reset_locked(u);
    mutex_unlock(&u->lock);
}

bool uart16550_connect(Uart16550 *u, const Uart16550Config *config, GError **error)
{
    u->irq = config->irq;
    if (!config->chardev) {
        return true;
    }
    if (!chardev_attach(config->chardev, &uart_frontend, u, error)) {
        return false;
    }
    u->chardev = config->chardev;
    u->flush_timer = loop_timer_new(config->loop, uart_flush, u);
    return true;
}

void uart16550_fini(Uart16550 *u)
{
    loop_timer_free(u->flush_timer);
    if (u->chardev) {
        chardev_detach(u->chardev);
        chardev_write_all(u->chardev, u->out, u->out_len, LAST_WORDS_MS);
    }
    g_free(u->saved_out);
    mutex_fini(&u->lock);
}

void uart16550_reset(Uart16550 *u)
{
    mutex_lock(&u->lock);
    uart_reset_locked(u);
    mutex_unlock(&u->lock);
}

void uart16550_drain(Uart16550 *u)
{
    mutex_lock(&u->lock);
    uart_flush_locked(u);
    u->drained = true;
    mutex_unlock(&u->lock);
}

void uart16550_resume(Uart16550 *u)
{
    mutex_lock(&u->lock);
    u->drained = false;
    uart_flush_locked(u);
    uart_update_locked(u);
    uart_accept_input(u);
    mutex_unlock(&u->lock);
}

/* ---- state ---- */

/* The line's contents travel: nobody has seen them yet. */
static bool uart_pre_save(void *opaque, GError **error)
{
    Uart16550 *u = opaque;

    (void)error;
    g_free(u->saved_out);
    u->saved_out = g_memdup2(u->out, u->out_len);
    u->saved_out_len = u->out_len;
    return true;
}

static bool uart_post_load(void *opaque, uint32_t version, GError **error)
{
    Uart16550 *u = opaque;

    (void)version;
    if (u->rx_count > (uart_has_fifo(u) ? UART16550_FIFO : 1)) {
        return fail(error, VMM_ERROR_WIRE, "rx_count: %u exceeds the FIFO", u->rx_count);
    }
    if ((u->ier & ~IER_MASK) || (u->fcr & ~FCR_KEPT) || (u->fcr && !uart_has_fifo(u)) ||
        (u->mcr & ~MCR_MASK) || (u->lsr_errors & ~LSR_ERRORS)) {
        return fail(error, VMM_ERROR_WIRE,
                    "ier: 0x%02x, fcr 0x%02x, mcr 0x%02x, errors 0x%02x "
                    "set bits that do not exist",
                    u->ier, u->fcr, u->mcr, u->lsr_errors);
    }
    u->out_len = MIN(u->saved_out_len, UART16550_OUT);
    if (u->out_len > 0) {
        memcpy(u->out, u->saved_out, u->out_len);
    }
    return true;
}

static const VmStateField uart16550_fields[] = {
    VMSTATE_FIELD_U8(Uart16550, ier, 1),
    VMSTATE_FIELD_U8(Uart16550, fcr, 1),
    VMSTATE_FIELD_U8(Uart16550, lcr, 1),
    VMSTATE_FIELD_U8(Uart16550, mcr, 1),
    VMSTATE_FIELD_U8(Uart16550, lsr_errors, 1),
    VMSTATE_FIELD_U8(Uart16550, msr, 1),
    VMSTATE_FIELD_U8(Uart16550, scr, 1),
    VMSTATE_FIELD_U16(Uart16550, divisor, 1),
    VMSTATE_FIELD_BOOL(Uart16550, thr_pending, 1),
    VMSTATE_FIELD_BYTES(Uart16550, rx, 1),
    VMSTATE_FIELD_U8(Uart16550, rx_count, 1),
    VMSTATE_FIELD_BUFFER(Uart16550, saved_out, saved_out_len, UART16550_OUT, 1),
};

const VmStateDesc uart16550_vmstate = {
    .name = "uart16550",
    .version = 1,
    .min_version = 1,
    .fields = uart16550_fields,
    .num_fields = G_N_ELEMENTS(uart16550_fields),
    .pre_save = uart_pre_save,
    .post_load = uart_post_load,
};
