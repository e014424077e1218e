/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first serial port behaves as a 16550A: registers keep what they must, loopback and FIFOs
 * work, each interrupt cause has its number, a burst from outside arrives whole and in order, and
 * the registers are the same behind the migrate point.
 */
#include "tests/guest/lib/serial.h"
#include "tests/guest/lib/apic.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/ioapic.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/x86.h"

#define VECTOR_SERIAL   0x62
#define FIFO_BYTES      16
#define FCR_ENABLE      0x01
#define FCR_CLEAR_RX    0x02
#define FCR_CLEAR_TX    0x04
#define FCR_TRIGGER_14  0xc0
#define IIR_MASK        0x0f
#define IIR_NONE        0x01
#define IIR_MSI         0x00
#define IIR_THRE        0x02
#define IIR_RDA         0x04
#define IIR_RLS         0x06
#define IIR_TIMEOUT     0x0c
#define IIR_FIFO        0xc0
#define MCR_DTR_RTS     0x03
#define MCR_ALL_OUTPUTS 0x0f
#define MSR_LINES       0xf0
#define PATIENCE        20000000000ul

static const char burst[] =
    "the quick brown fox jumps over the lazy dog 0123456789 THE QUICK BROWN FOX";

/* QEMU's model shows the modem lines in loopback, but not that they changed. */
static bool has_modem_changes;
static volatile unsigned received;
static volatile unsigned wrong;

static uint8_t get(unsigned offset)
{
    return serial_read_register(offset);
}

static void put(unsigned offset, uint8_t value)
{
    serial_write_register(offset, value);
}

static uint8_t cause(void)
{
    return get(SERIAL_IIR) & IIR_MASK;
}

static void loopback_on(uint8_t fcr)
{
    put(SERIAL_IER, 0);
    put(SERIAL_MCR, SERIAL_MCR_LOOP | MCR_DTR_RTS);
    put(SERIAL_IIR, 0);
    put(SERIAL_IIR, fcr);
    get(SERIAL_LSR);
    get(SERIAL_MSR);
    get(SERIAL_IIR);
    while (get(SERIAL_LSR) & SERIAL_LSR_DR) {
        get(SERIAL_RBR);
    }
}

/* Waits for a bit of the line status: a real chip takes its time, and so may a model. */
static bool line_status_comes(uint8_t bit)
{
    uint64_t start = tsc_read();
    uint8_t seen = 0;

    while (!(seen & bit) && tsc_read() - start < PATIENCE) {
        seen |= get(SERIAL_LSR);
    }
    return (seen & bit) != 0;
}

static bool cause_comes(uint8_t expected)
{
    uint64_t start = tsc_read();

    while (tsc_read() - start < PATIENCE) {
        if (cause() == expected) {
            return true;
        }
    }
    return false;
}

static bool send_byte(uint8_t value)
{
    bool is_sent = line_status_comes(SERIAL_LSR_THRE);

    put(SERIAL_RBR, value);
    return is_sent;
}

static void test_registers(void)
{
    uint8_t lcr = get(SERIAL_LCR);
    uint8_t values[6];

    put(SERIAL_SCR, 0x5a);
    values[0] = get(SERIAL_SCR);
    put(SERIAL_SCR, 0xa5);
    values[1] = get(SERIAL_SCR);
    put(SERIAL_IER, 0xff);
    values[2] = get(SERIAL_IER);
    put(SERIAL_IER, 0);
    put(SERIAL_LCR, SERIAL_LCR_DLAB | 0x03);
    put(SERIAL_RBR, 0x34);
    put(SERIAL_IER, 0x12);
    values[3] = get(SERIAL_RBR);
    values[4] = get(SERIAL_IER);
    put(SERIAL_RBR, 1);
    put(SERIAL_IER, 0);
    put(SERIAL_LCR, lcr);
    values[5] = get(SERIAL_IER);
    report(values[0] == 0x5a && values[1] == 0xa5, "the scratch register keeps what is written");
    report_equal(values[2], 0x0f, "the upper half of IER reads zero");
    report(values[3] == 0x34 && values[4] == 0x12, "the divisor reads back while DLAB is set");
    report_equal(values[5], 0, "the divisor is not IER");
    report_equal(lcr, 0x03, "LCR reads back");
    report(line_status_comes(SERIAL_LSR_TEMT) && (get(SERIAL_LSR) & ~SERIAL_LSR_DR) == 0x60,
           "the line is idle when all has been sent");
}

static void test_fifo_bits(void)
{
    uint8_t off, on;

    put(SERIAL_IIR, 0);
    off = get(SERIAL_IIR) & IIR_FIFO;
    put(SERIAL_IIR, FCR_ENABLE);
    on = get(SERIAL_IIR) & IIR_FIFO;
    report_equal(off, 0, "IIR shows no FIFO when it is off");
    report_equal(on, IIR_FIFO, "IIR shows the FIFO of a 16550A when it is on");
}

/* In loopback outputs come back as inputs: DTR as DSR, RTS as CTS, OUT1 as RI, OUT2 as DCD. */
static void test_loopback_lines(void)
{
    static const uint8_t lines[][2] = {{0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}};
    uint8_t seen[ARRAY_LENGTH(lines)];
    uint8_t delta, again;

    loopback_on(FCR_ENABLE);
    for (unsigned i = 0; i < ARRAY_LENGTH(lines); i++) {
        put(SERIAL_MCR, SERIAL_MCR_LOOP | lines[i][0]);
        seen[i] = get(SERIAL_MSR) & MSR_LINES;
    }
    put(SERIAL_MCR, SERIAL_MCR_LOOP);
    get(SERIAL_MSR);
    put(SERIAL_MCR, SERIAL_MCR_LOOP | MCR_ALL_OUTPUTS);
    delta = get(SERIAL_MSR) & 0x0b;
    again = get(SERIAL_MSR) & 0x0f;
    serial_init();
    for (unsigned i = 0; i < ARRAY_LENGTH(lines); i++) {
        report(seen[i] == lines[i][1], "modem output %x comes back as %x: %x", lines[i][0],
               lines[i][1], seen[i]);
    }
    if (has_modem_changes) {
        report_equal(delta, 0x0b, "changes of the modem lines show once");
    }
    report_equal(again, 0, "and are gone when they have been read");
}

static void test_loopback_data(void)
{
    bool is_same = true;
    bool is_empty;
    uint8_t overrun;

    loopback_on(FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX);
    for (unsigned i = 0; i < FIFO_BYTES; i++) {
        is_same &= send_byte((uint8_t)(0xa0 + i));
    }
    line_status_comes(SERIAL_LSR_TEMT);
    for (unsigned i = 0; i < FIFO_BYTES; i++) {
        is_same &= line_status_comes(SERIAL_LSR_DR) && get(SERIAL_RBR) == 0xa0 + i;
    }
    is_empty = !(get(SERIAL_LSR) & SERIAL_LSR_DR);

    for (unsigned i = 0; i <= FIFO_BYTES; i++) {
        send_byte((uint8_t)i);
    }
    overrun = line_status_comes(SERIAL_LSR_OE);
    put(SERIAL_IIR, FCR_ENABLE | FCR_CLEAR_RX);
    is_empty &= !(get(SERIAL_LSR) & (SERIAL_LSR_DR | SERIAL_LSR_OE));
    serial_init();
    report(is_same, "the FIFO gives back sixteen bytes in their order");
    report(overrun, "one more is an overrun");
    report(is_empty, "the FIFO is empty when it has been read, and when it is cleared");
}

static void test_causes(void)
{
    uint8_t none, thre, thre_again, data, data_after, modem, modem_after, status;
    bool has_timeout;

    loopback_on(0);
    none = cause();
    put(SERIAL_IER, SERIAL_IER_THRE);
    thre = cause();
    thre_again = cause();
    put(SERIAL_IER, SERIAL_IER_RDA | SERIAL_IER_RLS);
    send_byte(0x55);
    line_status_comes(SERIAL_LSR_DR);
    data = cause();
    send_byte(0x56); /* nobody has read the first: overrun beats data */
    line_status_comes(SERIAL_LSR_THRE);
    status = cause();
    get(SERIAL_LSR);
    get(SERIAL_RBR);
    data_after = cause();
    put(SERIAL_IER, SERIAL_IER_MSI);
    get(SERIAL_MSR);
    put(SERIAL_MCR, SERIAL_MCR_LOOP);
    modem = cause();
    get(SERIAL_MSR);
    modem_after = cause();

    loopback_on(FCR_ENABLE | FCR_TRIGGER_14);
    put(SERIAL_IER, SERIAL_IER_RDA);
    send_byte(1);
    has_timeout = cause_comes(IIR_TIMEOUT);
    serial_init();

    report_equal(none, IIR_NONE, "no cause, no interrupt");
    report_equal(thre, IIR_THRE, "an empty transmitter is a cause");
    report_equal(thre_again, IIR_NONE, "which reading IIR takes back");
    report_equal(data, IIR_RDA, "a received byte is a cause");
    report_equal(data_after, IIR_NONE, "which reading the byte takes back");
    if (has_modem_changes) {
        report_equal(modem, IIR_MSI, "a modem line is a cause");
    }
    report_equal(modem_after, IIR_NONE, "which reading MSR takes back");
    report(has_timeout, "a byte that waits below the trigger level times out");
    if (status != IIR_RLS) {
        report_note("an overrun without FIFOs does not interrupt here: IIR %x", status);
    }
}

static void on_serial(TrapFrame *frame)
{
    (void)frame;
    while (get(SERIAL_LSR) & SERIAL_LSR_DR) {
        uint8_t c = get(SERIAL_RBR);

        wrong += received >= sizeof(burst) - 1 || c != (uint8_t)burst[received];
        received++;
    }
    apic_end_of_interrupt();
}

/* The runner sends the text of an INPUT line back to us. */
static void test_input(const char *when)
{
    uint64_t start = tsc_read();

    received = 0;
    wrong = 0;
    put(SERIAL_IIR, FCR_ENABLE | FCR_CLEAR_RX);
    trap_set_handler(VECTOR_SERIAL, on_serial);
    ioapic_route(SERIAL_IRQ, VECTOR_SERIAL | IOAPIC_EDGE, apic_id());
    put(SERIAL_MCR, MCR_DTR_RTS | SERIAL_MCR_OUT2);
    print("INPUT %s\n", burst);
    put(SERIAL_IER, SERIAL_IER_RDA);
    interrupts_enable();
    while (received < sizeof(burst) - 1 && tsc_read() - start < PATIENCE) {
        cpu_relax();
    }
    interrupts_disable();
    put(SERIAL_IER, 0);
    ioapic_mask(SERIAL_IRQ);
    report(received == sizeof(burst) - 1 && !wrong,
           "a burst arrives by interrupts, whole and in order, %s: %u bytes, %u wrong", when,
           received, wrong);
}

static void test_registers_over_migration(void)
{
    uint8_t values[6];

    put(SERIAL_LCR, SERIAL_LCR_DLAB | 0x1b);
    put(SERIAL_RBR, 0x0c);
    put(SERIAL_IER, 0);
    put(SERIAL_LCR, 0x1b);
    put(SERIAL_SCR, 0x77);
    put(SERIAL_MCR, MCR_DTR_RTS);
    put(SERIAL_IER, SERIAL_IER_MSI);
    migrate_point();
    values[0] = get(SERIAL_LCR);
    values[1] = get(SERIAL_SCR);
    values[2] = get(SERIAL_MCR);
    values[3] = get(SERIAL_IER);
    put(SERIAL_LCR, SERIAL_LCR_DLAB | 0x1b);
    values[4] = get(SERIAL_RBR);
    put(SERIAL_LCR, 0x1b);
    values[5] = get(SERIAL_IIR) & IIR_FIFO;
    serial_init();
    report_equal(values[0], 0x1b, "LCR survives");
    report_equal(values[1], 0x77, "the scratch register survives");
    report_equal(values[2], MCR_DTR_RTS, "MCR survives");
    report_equal(values[3], SERIAL_IER_MSI, "IER survives");
    report_equal(values[4], 0x0c, "the divisor survives");
    report_equal(values[5], IIR_FIFO, "the FIFO stays on");
}

void payload_main(void)
{
    has_modem_changes = !boot_flag("qemu");
    test_registers();
    test_fifo_bits();
    serial_init();
    test_loopback_lines();
    test_loopback_data();
    test_causes();
    test_input("at start");
    test_registers_over_migration();
    test_input("after the migrate point");
}
