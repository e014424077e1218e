/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/vmclock.h"

#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>

#define MAGIC                     0x4b4c4356 /* "VCLK" */
#define VERSION                   1
#define COUNTER_INVALID           0xff
#define FLAG_GENERATION_PRESENT   (UINT64_C(1) << 8)
#define FLAG_NOTIFICATION_PRESENT (UINT64_C(1) << 9)
#define UPDATING                  1u /* in seq_count */

/* All of it little-endian; what is not named stays 0, for "unknown". */
typedef struct VmclockPage {
    uint32_t magic;
    uint32_t size;
    uint16_t version;
    uint8_t counter_id;
    uint8_t time_type;
    uint32_t seq_count;
    uint64_t disruption_marker;
    uint64_t flags;
    uint8_t clock[72]; /* status, leap seconds, counter value and period, time */
    uint64_t vm_generation_counter;
} VmclockPage;

G_STATIC_ASSERT(offsetof(VmclockPage, seq_count) == 0x0c);
G_STATIC_ASSERT(offsetof(VmclockPage, clock) == 0x20);
G_STATIC_ASSERT(offsetof(VmclockPage, vm_generation_counter) == 0x68);

typedef struct Vmclock {
    Device base;

    /* fixed after creation */
    VmclockConfig config;

    /* main thread only; the guest can write to its page, so that nothing is taken from there */
    uint64_t address; /* a restored guest's tables may name another than this machine's */
    uint32_t seq_count;
    uint64_t disruption_marker;
    uint64_t generation;
} Vmclock;

static void publish_seq_count(VmclockPage *page, uint32_t value)
{
    __atomic_store_n(&page->seq_count, GUINT32_TO_LE(value), __ATOMIC_RELEASE);
}

/* A reader that sees anything of the new sees the odd count too, or the even one behind it. */
static bool vmclock_write(Vmclock *s, GError **error)
{
    VmclockPage *page =
        guest_mem_ptr(s->config.memory, GPA(s->address), sizeof(*page), GUEST_WRITE, error);

    if (!page) {
        return false;
    }
    publish_seq_count(page, s->seq_count | UPDATING);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    page->magic = GUINT32_TO_LE(MAGIC);
    page->size = GUINT32_TO_LE(VMCLOCK_BYTES);
    page->version = GUINT16_TO_LE(VERSION);
    page->counter_id = COUNTER_INVALID;
    page->disruption_marker = GUINT64_TO_LE(s->disruption_marker);
    page->flags = GUINT64_TO_LE(FLAG_GENERATION_PRESENT | FLAG_NOTIFICATION_PRESENT);
    page->vm_generation_counter = GUINT64_TO_LE(s->generation);
    s->seq_count = (s->seq_count | UPDATING) + 1;
    publish_seq_count(page, s->seq_count);
    return true;
}

static bool vmclock_realize(Device *dev, GError **error)
{
    const Vmclock *s = (const Vmclock *)dev;

    if (s->config.notice.address == 0) {
        return fail(error, VMM_ERROR_CONFIG, "this machine has no place for it: it needs ACPI");
    }
    return true;
}

/* A reset disrupts no counter and makes nobody another; the address is what the next tables say. */
static void vmclock_reset(Device *dev)
{
    Vmclock *s = (Vmclock *)dev;

    s->address = s->config.notice.address;
}

static bool vmclock_boot(Device *dev, GError **error)
{
    return vmclock_write((Vmclock *)dev, error);
}

static bool vmclock_restored(Device *dev, const DeviceRestore *restore, GError **error)
{
    Vmclock *s = (Vmclock *)dev;

    s->disruption_marker++;
    s->generation += restore->cloned;
    if (!vmclock_write(s, error)) {
        return false;
    }
    request_make(&s->config.notice.ring, 0);
    return true;
}

static bool vmclock_post_load(void *opaque, uint32_t version, GError **error)
{
    const Vmclock *s = opaque;

    (void)version;
    if (!is_aligned(s->address, VMCLOCK_BYTES) ||
        !guest_mem_ptr(s->config.memory, GPA(s->address), VMCLOCK_BYTES, GUEST_WRITE, NULL)) {
        return fail(error, VMM_ERROR_WIRE, "address: 0x%" PRIx64 " is no page of RAM", s->address);
    }
    return true;
}

static const VmStateField vmclock_fields[] = {
    VMSTATE_FIELD_U64(Vmclock, address, 1),
    VMSTATE_FIELD_U32(Vmclock, seq_count, 1),
    VMSTATE_FIELD_U64(Vmclock, disruption_marker, 1),
    VMSTATE_FIELD_U64(Vmclock, generation, 1),
};

const VmStateDesc vmclock_vmstate = {
    .name = "vmclock",
    .version = 1,
    .min_version = 1,
    .fields = vmclock_fields,
    .num_fields = G_N_ELEMENTS(vmclock_fields),
    .post_load = vmclock_post_load,
};

const DeviceOps vmclock_ops = {
    .name = "vmclock",
    .realize = vmclock_realize,
    .reset = vmclock_reset,
    .boot = vmclock_boot,
    .restored = vmclock_restored,
    .vmstate = &vmclock_vmstate,
};

Device *vmclock_new(const char *id, const VmclockConfig *config)
{
    Vmclock *s = device_alloc(&vmclock_ops, id, sizeof(*s));

    s->config = *config;
    s->address = config->notice.address;
    return &s->base;
}
