/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/platform/vmgenid.h"

#include "migration/vmstate.h"
#include "util/bytes.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#define ALIGNMENT        8
#define VERSION_BYTE     6
#define VERSION_4        0x40 /* random */
#define VARIANT_BYTE     8
#define VARIANT_RFC_4122 0x80

typedef struct Vmgenid {
    Device base;

    /* fixed after creation */
    VmgenidConfig config;

    /* main thread only */
    bool choice_is_open; /* the user's id was not used yet */
    uint64_t address;    /* a restored guest's tables may name another than this machine's */
    uint8_t guid[VMGENID_BYTES]; /* in the order written */
} Vmgenid;

static bool vmgenid_draw(uint8_t ret_guid[VMGENID_BYTES], GError **error)
{
    uint8_t guid[VMGENID_BYTES];

    if (getrandom(guid, sizeof(guid), 0) != (ssize_t)sizeof(guid)) {
        return fail_errno(error, errno, "getrandom");
    }
    guid[VERSION_BYTE] = (uint8_t)((guid[VERSION_BYTE] & 0x0f) | VERSION_4);
    guid[VARIANT_BYTE] = (uint8_t)((guid[VARIANT_BYTE] & 0x3f) | VARIANT_RFC_4122);
    memcpy(ret_guid, guid, sizeof(guid));
    return true;
}

static bool vmgenid_write(const Vmgenid *s, GError **error)
{
    static const uint8_t order[VMGENID_BYTES] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t wire[VMGENID_BYTES];

    for (unsigned i = 0; i < VMGENID_BYTES; i++) {
        wire[i] = s->guid[order[i]];
    }
    return guest_mem_write(s->config.memory, GPA(s->address), wire, sizeof(wire), error);
}

void vmgenid_get(const Device *vmgenid, uint8_t ret_guid[VMGENID_BYTES])
{
    memcpy(ret_guid, ((const Vmgenid *)vmgenid)->guid, VMGENID_BYTES);
}

static bool vmgenid_realize(Device *dev, GError **error)
{
    Vmgenid *s = (Vmgenid *)dev;

    if (s->config.notice.address == 0) {
        return fail(error, VMM_ERROR_CONFIG, "this machine has no place for it: it needs ACPI");
    }
    if (s->config.guid_given) {
        memcpy(s->guid, s->config.guid, sizeof(s->guid));
        return true;
    }
    return vmgenid_draw(s->guid, error);
}

/* The id stays; the address is what the tables of the next boot say. */
static void vmgenid_reset(Device *dev)
{
    Vmgenid *s = (Vmgenid *)dev;

    s->address = s->config.notice.address;
}

static bool vmgenid_boot(Device *dev, GError **error)
{
    Vmgenid *s = (Vmgenid *)dev;

    s->choice_is_open = false;
    return vmgenid_write(s, error);
}

/*
 * An id that the user chose for this clone is taken once.  One that the state holds already came
 * with the template's own configuration, and would be every clone's.
 */
static bool vmgenid_restored(Device *dev, const DeviceRestore *restore, GError **error)
{
    Vmgenid *s = (Vmgenid *)dev;
    bool chosen = s->choice_is_open && memcmp(s->guid, s->config.guid, sizeof(s->guid)) != 0;

    if (!restore->cloned) {
        return true;
    }
    s->choice_is_open = false;
    if (chosen) {
        memcpy(s->guid, s->config.guid, sizeof(s->guid));
    } else if (!vmgenid_draw(s->guid, error)) {
        return false;
    }
    if (!vmgenid_write(s, error)) {
        return false;
    }
    request_make(&s->config.notice.ring, 0);
    return true;
}

static bool vmgenid_post_load(void *opaque, uint32_t version, GError **error)
{
    const Vmgenid *s = opaque;

    (void)version;
    if (!is_aligned(s->address, ALIGNMENT) ||
        !guest_mem_ptr(s->config.memory, GPA(s->address), VMGENID_BYTES, GUEST_WRITE, NULL)) {
        return fail(error, VMM_ERROR_WIRE, "address: 0x%" PRIx64 " is no place in RAM for an id",
                    s->address);
    }
    return true;
}

static const VmStateField vmgenid_fields[] = {
    VMSTATE_FIELD_U64(Vmgenid, address, 1),
    VMSTATE_FIELD_BYTES(Vmgenid, guid, 1),
};

const VmStateDesc vmgenid_vmstate = {
    .name = "vmgenid",
    .version = 1,
    .min_version = 1,
    .fields = vmgenid_fields,
    .num_fields = G_N_ELEMENTS(vmgenid_fields),
    .post_load = vmgenid_post_load,
};

const DeviceOps vmgenid_ops = {
    .name = "vmgenid",
    .realize = vmgenid_realize,
    .reset = vmgenid_reset,
    .boot = vmgenid_boot,
    .restored = vmgenid_restored,
    .vmstate = &vmgenid_vmstate,
};

Device *vmgenid_new(const char *id, const VmgenidConfig *config)
{
    Vmgenid *s = device_alloc(&vmgenid_ops, id, sizeof(*s));

    s->config = *config;
    s->choice_is_open = config->guid_given;
    s->address = config->notice.address;
    return &s->base;
}
