/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/i8042.h"

#include "migration/vmstate.h"
#include "util/lock.h"

#include <string.h>

#define STATUS_OUTPUT_FULL   0x01
#define STATUS_SELF_TEST_OK  0x04
#define STATUS_LAST_COMMAND  0x08
#define STATUS_NOT_LOCKED    0x10

#define COMMAND_READ_RAM     0x20 /* .. 0x3f */
#define COMMAND_WRITE_RAM    0x60 /* .. 0x7f */
#define COMMAND_TEST_AUX     0xa9
#define COMMAND_SELF_TEST    0xaa
#define COMMAND_TEST_KEYS    0xab
#define COMMAND_READ_OUTPUT  0xd0
#define COMMAND_WRITE_OUTPUT 0xd1
#define COMMAND_ECHO_KEYS    0xd2
#define COMMAND_ECHO_AUX     0xd3
#define COMMAND_TO_AUX       0xd4
#define COMMAND_PULSE        0xf0 /* .. 0xff: the low bits that are 0 */

#define RAM_MASK             0x1f
#define RAM_INTERRUPT        0x01 /* in byte 0, the controller's mode */

#define OUTPUT_NO_RESET      0x01
#define OUTPUT_A20           0x02

#define ANSWER_SELF_TEST     0x55
#define ANSWER_CLOCK_LOW     0x01
#define ANSWER_RESEND        0xfe

typedef struct I8042 {
    Device base;

    /* fixed after creation */
    I8042Config config;
    unsigned mapped;

    Mutex lock;
    /* guarded by lock */
    uint8_t ram[RAM_MASK + 1];
    uint8_t output_port;
    uint8_t command; /* that waits for its data byte; 0 = none */
    uint8_t data;
    uint8_t status;
} I8042;

static void i8042_update_locked(I8042 *s) REQUIRES(s->lock)
{
    irq_set(&s->config.irq, (s->status & STATUS_OUTPUT_FULL) && (s->ram[0] & RAM_INTERRUPT));
}

static void i8042_answer_locked(I8042 *s, uint8_t data) REQUIRES(s->lock)
{
    s->data = data;
    s->status |= STATUS_OUTPUT_FULL;
    i8042_update_locked(s);
}

/* True if the CPU's reset line was pulled. */
static bool i8042_command_locked(I8042 *s, uint8_t command) REQUIRES(s->lock)
{
    s->status |= STATUS_LAST_COMMAND;
    s->command = 0;
    if (command >= COMMAND_PULSE) {
        return (command & OUTPUT_NO_RESET) == 0;
    }
    if ((command & ~RAM_MASK) == COMMAND_READ_RAM) {
        i8042_answer_locked(s, s->ram[command & RAM_MASK]);
        return false;
    }
    if ((command & ~RAM_MASK) == COMMAND_WRITE_RAM) {
        s->command = command;
        return false;
    }
    switch (command) {
    case COMMAND_SELF_TEST:
        s->status |= STATUS_SELF_TEST_OK;
        i8042_answer_locked(s, ANSWER_SELF_TEST);
        break;
    case COMMAND_TEST_KEYS:
    case COMMAND_TEST_AUX:
        i8042_answer_locked(s, ANSWER_CLOCK_LOW);
        break;
    case COMMAND_READ_OUTPUT:
        i8042_answer_locked(s, s->output_port);
        break;
    case COMMAND_WRITE_OUTPUT:
    case COMMAND_ECHO_KEYS:
    case COMMAND_ECHO_AUX:
    case COMMAND_TO_AUX:
        s->command = command;
        break;
    default:
        break; /* enable and disable ports, and what does not exist */
    }
    return false;
}

static bool i8042_data_locked(I8042 *s, uint8_t data) REQUIRES(s->lock)
{
    uint8_t command = s->command;

    s->status &= (uint8_t)~STATUS_LAST_COMMAND;
    s->command = 0;
    if ((command & ~RAM_MASK) == COMMAND_WRITE_RAM) {
        s->ram[command & RAM_MASK] = data;
        i8042_update_locked(s);
        return false;
    }
    if (command == COMMAND_WRITE_OUTPUT) {
        s->output_port = data;
        return (data & OUTPUT_NO_RESET) == 0;
    }
    i8042_answer_locked(
        s, command == COMMAND_ECHO_KEYS || command == COMMAND_ECHO_AUX ? data : ANSWER_RESEND);
    return false;
}

static uint64_t i8042_read_data(void *opaque, uint64_t offset, unsigned size)
{
    I8042 *s = opaque;
    uint8_t data;

    (void)offset;
    (void)size;
    mutex_lock(&s->lock);
    data = s->data;
    s->status &= (uint8_t)~STATUS_OUTPUT_FULL;
    i8042_update_locked(s);
    mutex_unlock(&s->lock);
    return data;
}

static uint64_t i8042_read_status(void *opaque, uint64_t offset, unsigned size)
{
    I8042 *s = opaque;
    uint8_t status;

    (void)offset;
    (void)size;
    mutex_lock(&s->lock);
    status = s->status;
    mutex_unlock(&s->lock);
    return status;
}

static void i8042_write(I8042 *s, bool (*take)(I8042 *s, uint8_t value), uint8_t value)
{
    bool reset;

    mutex_lock(&s->lock);
    reset = take(s, value);
    mutex_unlock(&s->lock);
    if (reset) {
        request_make(&s->config.reset, 0);
    }
}

static void i8042_write_data(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset;
    (void)size;
    i8042_write(opaque, i8042_data_locked, (uint8_t)value);
}

static void i8042_write_command(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset;
    (void)size;
    i8042_write(opaque, i8042_command_locked, (uint8_t)value);
}

static const BusOps i8042_data_ops = {.read = i8042_read_data, .write = i8042_write_data};
static const BusOps i8042_command_ops = {.read = i8042_read_status, .write = i8042_write_command};

static bool i8042_realize(Device *dev, GError **error)
{
    I8042 *s = (I8042 *)dev;

    if (!bus_map(s->config.ports,
                 &(BusWindow){.base = I8042_DATA_PORT,
                              .size = 1,
                              .owner = dev->id,
                              .ops = &i8042_data_ops,
                              .opaque = s},
                 error)) {
        return false;
    }
    s->mapped++;
    if (!bus_map(s->config.ports,
                 &(BusWindow){.base = I8042_COMMAND_PORT,
                              .size = 1,
                              .owner = dev->id,
                              .ops = &i8042_command_ops,
                              .opaque = s},
                 error)) {
        return false;
    }
    s->mapped++;
    return true;
}

static void i8042_reset(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    mutex_lock(&s->lock);
    memset(s->ram, 0, sizeof(s->ram));
    s->output_port = OUTPUT_NO_RESET | OUTPUT_A20;
    s->command = 0;
    s->data = 0;
    s->status = STATUS_NOT_LOCKED | STATUS_SELF_TEST_OK;
    i8042_update_locked(s);
    mutex_unlock(&s->lock);
}

static void i8042_resume(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    mutex_lock(&s->lock);
    i8042_update_locked(s);
    mutex_unlock(&s->lock);
}

static void i8042_finalize(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    if (s->mapped > 0) {
        bus_unmap(s->config.ports, I8042_DATA_PORT);
    }
    if (s->mapped > 1) {
        bus_unmap(s->config.ports, I8042_COMMAND_PORT);
    }
    mutex_fini(&s->lock);
}

static const VmStateField i8042_fields[] = {
    VMSTATE_FIELD_BYTES(I8042, ram, 1),  VMSTATE_FIELD_U8(I8042, output_port, 1),
    VMSTATE_FIELD_U8(I8042, command, 1), VMSTATE_FIELD_U8(I8042, data, 1),
    VMSTATE_FIELD_U8(I8042, status, 1),
};

/* No value of these bytes means more than a guest could have written; nothing to refuse. */
const VmStateDesc i8042_vmstate = {
    .name = "i8042",
    .version = 1,
    .min_version = 1,
    .fields = i8042_fields,
    .num_fields = G_N_ELEMENTS(i8042_fields),
};

const DeviceOps i8042_ops = {
    .name = "i8042",
    .realize = i8042_realize,
    .reset = i8042_reset,
    .resume = i8042_resume,
    .finalize = i8042_finalize,
    .vmstate = &i8042_vmstate,
};

Device *i8042_new(const char *id, const I8042Config *config)
{
    I8042 *s = device_alloc(&i8042_ops, id, sizeof(*s));

    mutex_init(&s->lock);
    i8042_reset(&s->base);
    s->config = *config;
    return &s->base;
}
