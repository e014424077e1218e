/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/device_board.h"

#include "devices/backend/chardev_kinds.h"
#include "devices/platform/cmos.h"
#include "devices/platform/ged.h"
#include "devices/platform/i8042.h"
#include "devices/platform/ioapic.h"
#include "devices/serial/isa_serial.h"
#include "devices/virtio/mmio.h"
#include "hypervisor/fake.h"
#include "tests/support/fake_block.h"
#include "tests/support/virtio_probe.h"
#include "util/bytes.h"

#define GED_BASE      UINT64_C(0xfea00000)
#define VIRTIO_BASE   UINT64_C(0xfeb00000)
#define VIRTIO_BYTES  UINT64_C(0x200)
#define VMGENID_PLACE UINT64_C(0x1010)
#define VMCLOCK_PLACE UINT64_C(0x2000)
#define DISK_BYTES    (256 * KIB)
#define LAST_PORT     0x5ff
#define NOON          INT64_C(1709208000000000000) /* on a leap day */

static void count_request(void *opaque, uint32_t value)
{
    DeviceBoard *board = opaque;

    (void)value;
    board->requests++;
}

static Request request_of(DeviceBoard *board)
{
    return (Request){.fn = count_request, .opaque = board};
}

static IrqLine wire(DeviceBoard *board, unsigned pin)
{
    return ioapic_line(board->ioapic, pin);
}

static bool map(DeviceBoard *board, uint64_t base, uint64_t size, const BusOps *ops, Device *dev)
{
    return bus_map(
        board->mmio,
        &(BusWindow){.base = base, .size = size, .owner = dev->id, .ops = ops, .opaque = dev},
        NULL);
}

/* ---- the machines' own devices -------------------------------------------------------------- */

static int64_t noon(void *opaque)
{
    (void)opaque;
    return NOON;
}

static Device *make_ioapic(DeviceBoard *board)
{
    const IoapicConfig config = {.n_pins = IOAPIC_MIN_PINS, .hypervisor = board->hypervisor};
    Device *dev = ioapic_new("subject", &config);
    bool mapped = map(board, IOAPIC_MMIO_BASE, IOAPIC_MMIO_SIZE, &ioapic_bus_ops, dev);

    g_assert(mapped);
    return dev;
}

static Device *make_serial(DeviceBoard *board)
{
    const IsaSerialConfig config = {
        .ports = board->ports,
        .port = ISA_SERIAL_COM1_PORT,
        .irq = wire(board, ISA_SERIAL_COM1_IRQ),
        .chardev = board->chardev,
        .loop = board->loop,
    };

    return isa_serial_new("subject", &config);
}

static Device *make_cmos(DeviceBoard *board)
{
    const CmosConfig config = {
        .ports = board->ports,
        .irq = wire(board, CMOS_IRQ),
        .clock = board->clock,
        .ram_below_4g = BOARD_MEMORY_BYTES,
        .now_ns = noon,
    };

    return cmos_new("subject", &config);
}

static Device *make_i8042(DeviceBoard *board)
{
    const I8042Config config = {
        .ports = board->ports, .irq = wire(board, I8042_IRQ), .reset = request_of(board)};

    return i8042_new("subject", &config);
}

static Device *make_ged(DeviceBoard *board)
{
    const GedConfig config = {
        .mmio = board->mmio,
        .base = GED_BASE,
        .irq = wire(board, 9),
        .s5_sleep_type = 5,
        .reset_value = 0x42,
        .power_off = request_of(board),
        .reset = request_of(board),
    };

    return ged_new("subject", &config);
}

/* A transport in front of virtio; the board owns what is behind it. */
static Device *put_transport(DeviceBoard *board, const char *id)
{
    const IrqLine irq = wire(board, 5);
    Device *transport = virtio_mmio_new(id, board->virtio, &irq);
    bool mapped = map(board, VIRTIO_BASE, VIRTIO_BYTES, &virtio_mmio_bus_ops, transport);

    g_assert(mapped);
    return transport;
}

static Device *make_virtio_mmio(DeviceBoard *board)
{
    bool ok;

    board->virtio = &virtio_probe_new(board->memory, &board->virtio_host, NULL)->base;
    ok = device_realize(&board->virtio->base, NULL);
    g_assert(ok);
    return put_transport(board, "subject");
}

typedef struct OwnKind {
    const char *name;
    Device *(*make)(DeviceBoard *board);
} OwnKind;

static const OwnKind own_kinds[] = {
    {"ioapic", make_ioapic}, {"isa-serial", make_serial}, {"cmos", make_cmos},
    {"i8042", make_i8042},   {"acpi-ged", make_ged},      {"virtio-mmio", make_virtio_mmio},
};

/* ---- those of the registry ------------------------------------------------------------------ */

static BlockBackend *take_drive(void *opaque, const char *id, const char *user, GError **error)
{
    DeviceBoard *board = opaque;
    FakeBlock *fake = fake_block_new(DISK_BYTES);

    (void)id;
    (void)user;
    (void)error;
    g_ptr_array_add(board->drives, &fake->base);
    return &fake->base;
}

static bool find_rng(void *opaque, const char *id, char **ret_filename, GError **error)
{
    (void)opaque;
    (void)id;
    (void)error;
    *ret_filename = NULL;
    return true;
}

static Loop *serving_loop(void *opaque, VirtioDevice *dev)
{
    const DeviceBoard *board = opaque;

    (void)dev;
    return board->loop;
}

static Loop *find_iothread(void *opaque, const char *id, GError **error)
{
    const DeviceBoard *board = opaque;

    (void)id;
    (void)error;
    return board->loop;
}

/* Whatever a device must be told is the name of something that it needs; here anything will do. */
static PropBag *least_properties(const DeviceType *type)
{
    PropBag *bag = prop_bag_new("driver");

    prop_bag_add(bag, "driver", type->name);
    for (size_t i = 0; i < type->props->count; i++) {
        if (type->props->props[i].required) {
            prop_bag_add(bag, type->props->props[i].name, "any");
        }
    }
    return bag;
}

static Device *make_registered(DeviceBoard *board, const DeviceType *type)
{
    g_autoptr(PropBag) bag = least_properties(type);
    g_autoptr(GError) error = NULL;
    Device *dev = type->create(&board->context, "subject", bag, &error);

    g_assert_no_error(error);
    if (type->bus == DEVICE_BUS_VIRTIO) {
        board->virtio = (VirtioDevice *)dev;
    }
    return dev;
}

/* ---- the board ------------------------------------------------------------------------------ */

unsigned device_board_num_kinds(void)
{
    return (unsigned)(G_N_ELEMENTS(own_kinds) + device_num_types);
}

const char *device_board_kind_name(unsigned kind)
{
    return kind < G_N_ELEMENTS(own_kinds) ? own_kinds[kind].name
                                          : device_types[kind - G_N_ELEMENTS(own_kinds)].name;
}

static void lay_out(DeviceBoard *board)
{
    const ChardevRingbufConfig ring = {.size = 64};
    bool ok;

    board->hypervisor = fake_hypervisor_new();
    board->memory = guest_mem_new(NULL);
    ok = guest_mem_add_plain(board->memory, BOARD_MEMORY_BYTES, NULL);
    g_assert(ok);
    board->loop = loop_new("board");
    board->clock = guest_clock_new(board->loop);
    board->ports = bus_new("port");
    board->mmio = bus_new("mmio");
    board->chardev = chardev_ringbuf_new("c", &ring, board->loop, NULL);
    board->drives = g_ptr_array_new();
    board->ioapic = ioapic_new(
        "wires", &(IoapicConfig){.n_pins = IOAPIC_MIN_PINS, .hypervisor = board->hypervisor});
    board->virtio_host = (VirtioHost){.opaque = board, .serving_loop = serving_loop};
    board->context = (DeviceContext){
        .memory = board->memory,
        .ports = board->ports,
        .mmio = board->mmio,
        .loop = board->loop,
        .virtio_host = &board->virtio_host,
        .vmgenid = {VMGENID_PLACE, request_of(board)},
        .vmclock = {VMCLOCK_PLACE, request_of(board)},
        .opaque = board,
        .take_drive = take_drive,
        .find_rng = find_rng,
        .find_iothread = find_iothread,
        .exit = request_of(board),
        .report = request_of(board),
    };
}

DeviceBoard *device_board_new(unsigned kind)
{
    DeviceBoard *board = g_new0(DeviceBoard, 1);
    g_autoptr(GError) error = NULL;
    bool ok;

    lay_out(board);
    if (kind < G_N_ELEMENTS(own_kinds)) {
        board->dev = own_kinds[kind].make(board);
    } else {
        board->dev = make_registered(board, &device_types[kind - G_N_ELEMENTS(own_kinds)]);
    }
    ok = device_realize(board->dev, &error);
    g_assert_no_error(error);
    g_assert(ok);
    if (board->virtio && &board->virtio->base == board->dev) {
        board->transport = put_transport(board, "transport");
    }
    return board;
}

/* What a device leads to goes after it. */
void device_board_free(DeviceBoard *board)
{
    if (!board) {
        return;
    }
    if (board->virtio && &board->virtio->base != board->dev) {
        device_free(&board->virtio->base);
    }
    device_free(board->dev);
    device_free(board->transport);
    for (guint i = 0; i < board->drives->len; i++) {
        block_close(board->drives->pdata[i]);
    }
    g_ptr_array_unref(board->drives);
    device_free(board->ioapic);
    chardev_free(board->chardev);
    bus_free(board->mmio);
    bus_free(board->ports);
    guest_clock_free(board->clock);
    loop_free(board->loop);
    guest_mem_free(board->memory);
    hypervisor_free(board->hypervisor);
    g_free(board);
}

static void quit_loop(void *opaque)
{
    loop_quit(opaque);
}

void device_board_settle(DeviceBoard *board)
{
    for (unsigned i = 0; i < 3; i++) {
        loop_post(board->loop, quit_loop, board->loop);
        loop_run(board->loop);
    }
}

/* ---- accesses ------------------------------------------------------------------------------- */

typedef struct Window {
    uint64_t base;
    uint64_t size;
} Window;

static const Window windows[] = {
    {IOAPIC_MMIO_BASE, 0x44},
    {GED_BASE, GED_MMIO_SIZE},
    {VIRTIO_BASE, VIRTIO_BYTES},
};

void device_board_read_around(DeviceBoard *board)
{
    uint64_t ignored;

    for (uint64_t port = 0; port <= LAST_PORT; port++) {
        (void)bus_read(board->ports, port, 1, &ignored);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(windows); i++) {
        for (uint64_t offset = 0; offset < windows[i].size; offset += 4) {
            (void)bus_read(board->mmio, windows[i].base + offset, 4, &ignored);
        }
    }
}

/* Half of the values are small, as numbers of queues and commands are. */
static uint32_t some_value(GRand *rand)
{
    uint32_t value = g_rand_int(rand);

    return g_rand_boolean(rand) ? value : value & 0xf;
}

void device_board_poke(DeviceBoard *board, guint32 seed, unsigned count)
{
    GRand *rand = g_rand_new_with_seed(seed);

    for (unsigned i = 0; i < count; i++) {
        const Window *window = &windows[g_rand_int(rand) % G_N_ELEMENTS(windows)];
        uint64_t offset = g_rand_int(rand) % window->size;
        uint64_t port = g_rand_int(rand) % (LAST_PORT + 1);

        (void)bus_write(board->mmio, window->base + offset / 4 * 4, 4, some_value(rand));
        (void)bus_write(board->ports, port, 1, some_value(rand));
    }
    g_rand_free(rand);
}
