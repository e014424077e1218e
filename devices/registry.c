/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/registry.h"

#include "devices/platform/debugexit.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/vmclock.h"
#include "devices/platform/vmgenid.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/rng.h"
#include "util/error.h"
#include "util/text.h"

/* ---- virtio-rng-device ---------------------------------------------------------------------- */

typedef struct RngDeviceConfig {
    char *rng;
    uint64_t max_bytes;
    uint64_t period_ms;
} RngDeviceConfig;

static const PropDesc rng_device_props_list[] = {
    {.name = "rng",
     .type = PROP_STRING,
     .offset = offsetof(RngDeviceConfig, rng),
     .help = "id of an rng object; without it the host kernel's generator"},
    {.name = "max-bytes",
     .type = PROP_UINT,
     .offset = offsetof(RngDeviceConfig, max_bytes),
     .help = "at most so many bytes in each period; 0 is no limit"},
    {.name = "period",
     .type = PROP_UINT,
     .offset = offsetof(RngDeviceConfig, period_ms),
     .min = 1,
     .max = UINT32_MAX,
     .default_text = "65536",
     .help = "length of a period, in milliseconds"},
};
static const PropTable rng_device_props =
    PROP_TABLE("device virtio-rng-device", rng_device_props_list, RngDeviceConfig);

static Device *create_rng(const DeviceContext *context, const char *id, const PropBag *bag,
                          GError **error)
{
    RngDeviceConfig config;
    g_autofree char *filename = NULL;
    VirtioDevice *dev = NULL;

    if (!props_apply(&rng_device_props, bag, &config, error)) {
        return NULL;
    }
    if (!config.rng || context->find_rng(context->opaque, config.rng, &filename, error)) {
        const VirtioRngConfig rng = {
            .fd_sets = context->fd_sets,
            .filename = filename,
            .max_bytes = config.max_bytes,
            .period_ms = (uint32_t)config.period_ms,
        };

        dev = virtio_rng_new(id, context->memory, context->virtio_host, NULL, &rng);
    }
    props_clear(&rng_device_props, &config);
    return dev ? &dev->base : NULL;
}

/* ---- virtio-blk-device ---------------------------------------------------------------------- */

static Device *create_blk(const DeviceContext *context, const char *id, const PropBag *bag,
                          GError **error)
{
    VirtioBlkConfig config;
    VirtioDevice *dev = NULL;
    BlockBackend *drive;
    Loop *loop = NULL;

    if (!props_apply(&virtio_blk_props, bag, &config, error)) {
        return NULL;
    }
    if (config.iothread) {
        loop = context->find_iothread(context->opaque, config.iothread, error);
    }
    if (loop || !config.iothread) {
        drive = context->take_drive(context->opaque, config.drive, id, error);
        if (drive) {
            dev = virtio_blk_new(id, context->memory, context->virtio_host, loop, drive, &config);
        }
    }
    props_clear(&virtio_blk_props, &config);
    return dev ? &dev->base : NULL;
}

/* ---- isa-debug-exit ------------------------------------------------------------------------- */

typedef struct DebugexitDeviceConfig {
    uint64_t port;
    uint64_t n_ports;
} DebugexitDeviceConfig;

static const PropDesc debugexit_props_list[] = {
    {.name = "iobase",
     .type = PROP_UINT,
     .offset = offsetof(DebugexitDeviceConfig, port),
     .min = 1,
     .max = 0xfffc,
     .default_text = "0x501",
     .help = "first port"},
    {.name = "iosize",
     .type = PROP_UINT,
     .offset = offsetof(DebugexitDeviceConfig, n_ports),
     .min = 1,
     .max = 4,
     .power_of_two = true,
     .default_text = "2",
     .help = "number of ports: 1, 2 or 4"},
};
static const PropTable debugexit_props =
    PROP_TABLE("device isa-debug-exit", debugexit_props_list, DebugexitDeviceConfig);

static Device *create_debugexit(const DeviceContext *context, const char *id, const PropBag *bag,
                                GError **error)
{
    DebugexitDeviceConfig config;

    if (!props_apply(&debugexit_props, bag, &config, error)) {
        return NULL;
    }
    return debugexit_new(id, &(DebugexitConfig){.ports = context->ports,
                                                .port = (uint16_t)config.port,
                                                .n_ports = (uint8_t)config.n_ports,
                                                .exit = context->exit});
}

/* ---- pvpanic -------------------------------------------------------------------------------- */

typedef struct PvpanicDeviceConfig {
    uint64_t port;
    uint64_t events;
} PvpanicDeviceConfig;

static const PropDesc pvpanic_props_list[] = {
    {.name = "ioport",
     .type = PROP_UINT,
     .offset = offsetof(PvpanicDeviceConfig, port),
     .min = 1,
     .max = 0xffff,
     .default_text = "0x505",
     .help = "its port"},
    {.name = "events",
     .alias = "supported-features",
     .type = PROP_UINT,
     .offset = offsetof(PvpanicDeviceConfig, events),
     .max = PVPANIC_PANICKED | PVPANIC_CRASHLOADED,
     .default_text = "3",
     .help = "what the guest may report: 1 a panic, 2 that a crash kernel takes over"},
};
static const PropTable pvpanic_props =
    PROP_TABLE("device pvpanic", pvpanic_props_list, PvpanicDeviceConfig);

static Device *create_pvpanic(const DeviceContext *context, const char *id, const PropBag *bag,
                              GError **error)
{
    PvpanicDeviceConfig config;

    if (!props_apply(&pvpanic_props, bag, &config, error)) {
        return NULL;
    }
    return pvpanic_new(id, &(PvpanicConfig){.ports = context->ports,
                                            .port = (uint16_t)config.port,
                                            .events = (uint8_t)config.events,
                                            .report = context->report});
}

/* ---- vmgenid -------------------------------------------------------------------------------- */

#define GUID_AUTO "auto"

typedef struct VmgenidDeviceConfig {
    char *guid;
} VmgenidDeviceConfig;

static const PropDesc vmgenid_props_list[] = {
    {.name = "guid",
     .type = PROP_STRING,
     .offset = offsetof(VmgenidDeviceConfig, guid),
     .default_text = GUID_AUTO,
     .help = "the id, or auto for a random one"},
};
static const PropTable vmgenid_props =
    PROP_TABLE("device vmgenid", vmgenid_props_list, VmgenidDeviceConfig);

static Device *create_vmgenid(const DeviceContext *context, const char *id, const PropBag *bag,
                              GError **error)
{
    VmgenidConfig vmgenid = {.memory = context->memory, .notice = context->vmgenid};
    VmgenidDeviceConfig config;
    bool ok;

    if (!props_apply(&vmgenid_props, bag, &config, error)) {
        return NULL;
    }
    vmgenid.guid_given = strcmp(config.guid, GUID_AUTO) != 0;
    ok = !vmgenid.guid_given || text_parse_uuid(config.guid, vmgenid.guid) ||
         fail(error, VMM_ERROR_CONFIG, "property 'guid' is '%s': expected auto or a UUID",
              config.guid);
    props_clear(&vmgenid_props, &config);
    return ok ? vmgenid_new(id, &vmgenid) : NULL;
}

/* ---- vmclock -------------------------------------------------------------------------------- */

/* Nothing can be said about it. */
static const PropTable vmclock_props = {.subject = "device vmclock"};

static Device *create_vmclock(const DeviceContext *context, const char *id, const PropBag *bag,
                              GError **error)
{
    const VmclockConfig vmclock = {.memory = context->memory, .notice = context->vmclock};
    char nothing;

    return props_apply(&vmclock_props, bag, &nothing, error) ? vmclock_new(id, &vmclock) : NULL;
}

/* ---- the array ------------------------------------------------------------------------------ */

const DeviceType device_types[] = {
    {"virtio-blk-device", "disk", DEVICE_BUS_VIRTIO, &virtio_blk_props, create_blk},
    {"isa-debug-exit", "ends the VM with a status of the guest's choice", DEVICE_BUS_NONE,
     &debugexit_props, create_debugexit},
    {"pvpanic", "tells the host that the guest's kernel panicked", DEVICE_BUS_NONE, &pvpanic_props,
     create_pvpanic},
    {"virtio-rng-device", "entropy source", DEVICE_BUS_VIRTIO, &rng_device_props, create_rng},
    {"vmgenid", "tells the guest when it has become a clone", DEVICE_BUS_BOARD, &vmgenid_props,
     create_vmgenid},
    {"vmclock", "tells the guest's programs of restores and clones", DEVICE_BUS_BOARD,
     &vmclock_props, create_vmclock},
};
const size_t device_num_types = G_N_ELEMENTS(device_types);

const DeviceType *device_type_find(const char *name)
{
    for (size_t i = 0; i < device_num_types; i++) {
        if (strcmp(device_types[i].name, name) == 0) {
            return &device_types[i];
        }
    }
    return NULL;
}

const DeviceType *device_type_lookup(const char *name, GError **error)
{
    const DeviceType *type = device_type_find(name);
    TextNearest nearest = TEXT_NEAREST(name);
    g_autofree char *hint = NULL;

    if (type) {
        return type;
    }
    for (size_t i = 0; i < device_num_types; i++) {
        text_nearest_offer(&nearest, device_types[i].name);
    }
    hint = text_nearest_hint(&nearest);
    return fail_null(error, VMM_ERROR_CONFIG, "there is no device '%s'%s", name, hint);
}
