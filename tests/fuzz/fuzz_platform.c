/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a guest that plays with the chips of a PC, or somebody who damaged their state.
 *
 *     first byte < 128: accesses of 7 bytes each: what, where (u16), value (u32)
 *     otherwise:        patches of 3 bytes to the saved state of one chip: where (u16), value;
 *                       the result is loaded, used, saved and reset
 *
 * Whatever comes, the chips answer, and a state that was saved loads again.
 */
#include "devices/backend/chardev_kinds.h"
#include "devices/platform/cmos.h"
#include "devices/platform/debugexit.h"
#include "devices/platform/ged.h"
#include "devices/platform/i8042.h"
#include "devices/platform/ioapic.h"
#include "devices/platform/pvpanic.h"
#include "devices/serial/isa_serial.h"
#include "hypervisor/fake.h"
#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GED_BASE     UINT64_C(0xfec10000)
#define ACCESS_BYTES 7u
#define MAX_ACCESSES 512u
#define PATCH_BYTES  3u

/* The byte `what` of an access. */
#define WHAT_SIZE_SHIFT 0 /* 2 bits: 1, 2, 4, 8 */
#define WHAT_WRITE      0x04
#define WHAT_MMIO       0x08
#define WHAT_WIRE       0x10 /* no access: pull pin `where` */
#define WHAT_EOI        0x20
#define WHAT_EVENT      0x40
#define WHAT_STOP       0x80 /* drain, reset or not, resume */

enum {
    IOAPIC,
    SERIAL,
    CMOS,
    KEYBOARD,
    GED,
    PANIC,
    EXIT,
    CHIPS
};

typedef struct Board {
    Hypervisor *hypervisor;
    Loop *loop;
    GuestClock *clock;
    Bus *ports;
    Bus *mmio;
    Chardev *chardev;
    Device *chips[CHIPS];
    int64_t now_ns;
} Board;

static int64_t board_now(void *opaque)
{
    Board *board = opaque;

    board->now_ns += 98765432;
    return board->now_ns;
}

static void board_add(Board *board)
{
    const IoapicConfig ioapic = {.n_pins = 24, .hypervisor = board->hypervisor};

    board->chips[IOAPIC] = ioapic_new("ioapic", &ioapic);

    const CmosConfig cmos = {.ports = board->ports,
                             .irq = ioapic_line(board->chips[IOAPIC], CMOS_IRQ),
                             .clock = board->clock,
                             .ram_below_4g = GIB,
                             .now_ns = board_now,
                             .now_opaque = board};
    const IsaSerialConfig serial = {.ports = board->ports,
                                    .port = ISA_SERIAL_COM1_PORT,
                                    .irq = ioapic_line(board->chips[IOAPIC], ISA_SERIAL_COM1_IRQ),
                                    .chardev = board->chardev,
                                    .loop = board->loop};
    const I8042Config keyboard = {.ports = board->ports,
                                  .irq = ioapic_line(board->chips[IOAPIC], I8042_IRQ)};
    const GedConfig ged = {.mmio = board->mmio,
                           .base = GED_BASE,
                           .irq = ioapic_line(board->chips[IOAPIC], 9),
                           .s5_sleep_type = 5,
                           .reset_value = 0x42};
    const PvpanicConfig panic = {.ports = board->ports, .port = PVPANIC_PORT, .events = 3};
    const DebugexitConfig end = {
        .ports = board->ports, .port = DEBUGEXIT_PORT, .n_ports = DEBUGEXIT_PORTS};

    board->chips[SERIAL] = isa_serial_new("serial", &serial);
    board->chips[CMOS] = cmos_new("cmos", &cmos);
    board->chips[KEYBOARD] = i8042_new("i8042", &keyboard);
    board->chips[GED] = ged_new("ged", &ged);
    board->chips[PANIC] = pvpanic_new("pvpanic", &panic);
    board->chips[EXIT] = debugexit_new("debugexit", &end);
}

static Board *board_new(void)
{
    const ChardevRingbufConfig ring = {.size = 64};
    Board *board = g_new0(Board, 1);

    board->hypervisor = fake_hypervisor_new();
    board->loop = loop_new("fuzz");
    board->clock = guest_clock_new(board->loop);
    board->ports = bus_new("port");
    board->mmio = bus_new("mmio");
    board->chardev = chardev_ringbuf_new("c", &ring, board->loop, NULL);
    board_add(board);
    for (unsigned i = 0; i < CHIPS; i++) {
        bool ok = device_realize(board->chips[i], NULL);

        g_assert(ok);
    }

    bool mapped = bus_map(board->mmio,
                          &(BusWindow){.base = IOAPIC_MMIO_BASE,
                                       .size = IOAPIC_MMIO_SIZE,
                                       .owner = "ioapic",
                                       .ops = &ioapic_bus_ops,
                                       .opaque = board->chips[IOAPIC]},
                          NULL);

    g_assert(mapped);
    return board;
}

static void board_free(Board *board)
{
    for (unsigned i = CHIPS; i > 0; i--) {
        device_free(board->chips[i - 1]);
    }
    chardev_free(board->chardev);
    bus_free(board->mmio);
    bus_free(board->ports);
    guest_clock_free(board->clock);
    loop_free(board->loop);
    hypervisor_free(board->hypervisor);
    g_free(board);
}

static void board_stop(Board *board, bool reset)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        bool ok = device_drain(board->chips[i], NULL);

        g_assert(ok);
    }
    for (unsigned i = 0; reset && i < CHIPS; i++) {
        device_reset(board->chips[i]);
    }
    for (unsigned i = 0; i < CHIPS; i++) {
        device_resume(board->chips[i]);
    }
}

/* Most of the port space is empty: `where` counts the ports that are not. */
static uint64_t board_address(uint8_t what, uint16_t where)
{
    static const uint16_t ports[] = {0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe,
                                     0x3ff, 0x70,  0x71,  0x60,  0x64,  0xf4,  0x505};

    if (what & WHAT_MMIO) {
        return where & 0x8000 ? GED_BASE + where % GED_MMIO_SIZE
                              : IOAPIC_MMIO_BASE + where % IOAPIC_MMIO_SIZE;
    }
    return ports[where % G_N_ELEMENTS(ports)];
}

static void board_access(Board *board, uint8_t what, uint16_t where, uint32_t value)
{
    Bus *bus = what & WHAT_MMIO ? board->mmio : board->ports;
    unsigned size = 1u << (what >> WHAT_SIZE_SHIFT & 3);
    uint64_t ignored;

    if (what & WHAT_STOP) {
        board_stop(board, value & 1);
    } else if (what & WHAT_EVENT) {
        ged_raise(board->chips[GED], value);
    } else if (what & WHAT_EOI) {
        ioapic_eoi(board->chips[IOAPIC], (uint8_t)value);
    } else if (what & WHAT_WIRE) {
        IrqLine line = ioapic_line(board->chips[IOAPIC], where % 32);

        irq_set(&line, value & 1);
    } else if (what & WHAT_WRITE) {
        (void)bus_write(bus, board_address(what, where), size, value);
    } else {
        (void)bus_read(bus, board_address(what, where), size, &ignored);
    }
}

/* The state of a device that works loads into another one. */
static void board_copy(Board *from, Board *to)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        g_autoptr(GByteArray) wire = g_byte_array_new();
        bool ok =
            vmstate_save(from->chips[i]->ops->vmstate, from->chips[i], wire, NULL) &&
            vmstate_load(to->chips[i]->ops->vmstate, to->chips[i], wire->data, wire->len, NULL);

        g_assert(ok);
    }
}

static void board_load_patched(Board *board, unsigned chip, const uint8_t *data, size_t size)
{
    Device *dev = board->chips[chip];
    g_autoptr(GByteArray) wire = g_byte_array_new();
    bool ok = vmstate_save(dev->ops->vmstate, dev, wire, NULL);

    g_assert(ok);
    for (size_t i = 0; i + PATCH_BYTES <= size; i += PATCH_BYTES) {
        wire->data[load_le16(data + i) % wire->len] = data[i + 2];
    }
    if (!vmstate_load(dev->ops->vmstate, dev, wire->data, wire->len, NULL)) {
        device_reset(dev);
        return;
    }
    device_resume(dev);
    for (uint16_t where = 0; where < 64; where++) {
        board_access(board, (uint8_t)(where & 8), where, 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Board *board;
    Board *copy;

    if (size == 0) {
        return 0;
    }
    board = board_new();
    copy = board_new();
    if (data[0] < 128) {
        size_t n = MIN((size - 1) / ACCESS_BYTES, MAX_ACCESSES);

        for (size_t i = 0; i < n; i++) {
            const uint8_t *p = data + 1 + i * ACCESS_BYTES;

            board_access(board, p[0], load_le16(p + 1), load_le32(p + 3));
        }
    } else {
        board_load_patched(board, data[0] % CHIPS, data + 1, size - 1);
    }
    board_copy(board, copy);
    board_stop(copy, /* reset= */ false);
    board_stop(copy, /* reset= */ true);
    board_free(copy);
    board_free(board);
    return 0;
}
