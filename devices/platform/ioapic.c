/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 82093AA with the version 0x20 EOI register.  An edge on a masked pin is lost, as the data sheet
 * says, unless the wire is still high when the pin is unmasked: a device that holds its wire until
 * it is served makes no second edge.  A level on a masked pin stays and is delivered then.
 */
#include "devices/platform/ioapic.h"

#include "hypervisor/hypervisor.h"
#include "migration/vmstate.h"
#include "util/error.h"
#include "util/lock.h"
#include "util/log.h"

#include <inttypes.h>
#include <string.h>

#define IOREGSEL        0x00
#define IOWIN           0x10
#define IOEOI           0x40

#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_TABLE       0x10

#define IOAPIC_VERSION  0x20u

/* Redirection entry */
#define ENTRY_VECTOR     UINT64_C(0xff)
#define ENTRY_MODE_SHIFT 8
#define ENTRY_MODE       UINT64_C(0x7)
#define ENTRY_LOGICAL    (UINT64_C(1) << 11)
#define ENTRY_REMOTE_IRR (UINT64_C(1) << 14)
#define ENTRY_LEVEL      (UINT64_C(1) << 15)
#define ENTRY_MASKED     (UINT64_C(1) << 16)
#define ENTRY_DEST_SHIFT 56
#define ENTRY_WIDE_SHIFT 49 /* destination bits 14:8 */
#define ENTRY_WIDE       UINT64_C(0x7f)
#define ENTRY_WRITABLE   UINT64_C(0xffff00000001afff)

#define MODE_FIXED       0
#define MODE_LOWEST      1
#define MODE_SMI         2
#define MODE_NMI         4
#define MODE_INIT        5
#define DELIVERABLE_MODES \
    (1u << MODE_FIXED | 1u << MODE_LOWEST | 1u << MODE_SMI | 1u << MODE_NMI | 1u << MODE_INIT)

#define MSI_ADDRESS_BASE UINT64_C(0xfee00000)
#define MSI_DEST_SHIFT   12
#define MSI_WIDE_SHIFT   40
#define MSI_LOGICAL      UINT64_C(4)
#define MSI_DATA_ASSERT  (1u << 14)
#define MSI_DATA_LEVEL   (1u << 15)

typedef struct Ioapic {
    Device base;

    /* fixed after creation */
    Hypervisor *hypervisor;
    uint8_t reset_id;
    uint32_t n_pins;

    Mutex lock;
    /* guarded by lock: what the guest sees */
    uint32_t saved_pins; /* n_pins, as a saved state tells it */
    uint8_t select;
    uint8_t apic_id;
    uint8_t high[IOAPIC_MAX_PINS]; /* 1: somebody holds the wire up */
    uint64_t table[IOAPIC_MAX_PINS];
    /* guarded by lock: how the hypervisor was told */
    bool requested[IOAPIC_MAX_PINS];
    GsiRoute routes[IOAPIC_MAX_PINS];
    size_t n_routes;
    LogLimit complaints;
} Ioapic;

static bool entry_to_msi(uint64_t entry, MsiMessage *ret_msi)
{
    uint32_t mode = entry >> ENTRY_MODE_SHIFT & ENTRY_MODE;

    *ret_msi = (MsiMessage){
        .address = MSI_ADDRESS_BASE | (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT |
                   (entry >> ENTRY_WIDE_SHIFT & ENTRY_WIDE) << MSI_WIDE_SHIFT |
                   (entry & ENTRY_LOGICAL ? MSI_LOGICAL : 0),
        .data = (uint32_t)(entry & ENTRY_VECTOR) | mode << 8 |
                (entry & ENTRY_LEVEL ? MSI_DATA_LEVEL | MSI_DATA_ASSERT : 0),
    };
    return (DELIVERABLE_MODES >> mode & 1) != 0;
}

static void ioapic_deliver_locked(Ioapic *s, unsigned pin) REQUIRES(s->lock)
{
    g_autoptr(GError) error = NULL;
    MsiMessage msi;

    if (entry_to_msi(s->table[pin], &msi) && !hypervisor_signal_msi(s->hypervisor, &msi, &error)) {
        log_limited(&s->complaints, LOG_LEVEL_WARNING, "%s: pin %u: %s", s->base.id, pin,
                    error->message);
    }
}

/* A level that is up, unmasked and not already being handled. */
static void ioapic_check_level_locked(Ioapic *s, unsigned pin) REQUIRES(s->lock)
{
    uint64_t entry = s->table[pin];

    if (s->high[pin] && (entry & ENTRY_LEVEL) && !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR))) {
        s->table[pin] |= ENTRY_REMOTE_IRR;
        ioapic_deliver_locked(s, pin);
    }
}

static void ioapic_set_pin(void *opaque, unsigned pin, bool high)
{
    Ioapic *s = opaque;

    mutex_lock(&s->lock);

    bool rises = high && !s->high[pin];

    s->high[pin] = high;
    if (s->table[pin] & ENTRY_LEVEL) {
        ioapic_check_level_locked(s, pin);
    } else if (rises && !(s->table[pin] & ENTRY_MASKED)) {
        ioapic_deliver_locked(s, pin);
    }
    mutex_unlock(&s->lock);
}

/*
 * A level that was masked while it is being handled keeps its route, or its EOI would never be
 * reported and the pin would stay busy for ever.
 */
static bool ioapic_needs_route_locked(const Ioapic *s, unsigned pin) REQUIRES(s->lock)
{
    uint64_t entry = s->table[pin];

    if (entry & ENTRY_LEVEL) {
        return !(entry & ENTRY_MASKED) || (entry & ENTRY_REMOTE_IRR);
    }
    return s->requested[pin] && !(entry & ENTRY_MASKED);
}

static bool routes_equal(const GsiRoute *a, const GsiRoute *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (a[i].gsi != b[i].gsi || a[i].msi.address != b[i].msi.address ||
            a[i].msi.data != b[i].msi.data) {
            return false;
        }
    }
    return true;
}

static void ioapic_update_routes_locked(Ioapic *s) REQUIRES(s->lock)
{
    g_autoptr(GError) error = NULL;
    GsiRoute routes[IOAPIC_MAX_PINS];
    size_t n = 0;

    for (unsigned pin = 0; pin < s->n_pins; pin++) {
        MsiMessage msi;

        if (ioapic_needs_route_locked(s, pin) && entry_to_msi(s->table[pin], &msi)) {
            routes[n++] = (GsiRoute){.gsi = pin, .msi = msi};
        }
    }
    if (n == s->n_routes && routes_equal(routes, s->routes, n)) {
        return;
    }
    if (!hypervisor_set_gsi_routes(s->hypervisor, routes, n, &error)) {
        log_limited(&s->complaints, LOG_LEVEL_ERROR, "%s: %s", s->base.id, error->message);
        return;
    }
    memcpy(s->routes, routes, n * sizeof(routes[0]));
    s->n_routes = n;
}

static void ioapic_eoi_locked(Ioapic *s, uint8_t vector) REQUIRES(s->lock)
{
    for (unsigned pin = 0; pin < s->n_pins; pin++) {
        uint64_t entry = s->table[pin];

        if ((entry & ENTRY_REMOTE_IRR) && (entry & ENTRY_VECTOR) == vector) {
            s->table[pin] = entry & ~ENTRY_REMOTE_IRR;
            ioapic_check_level_locked(s, pin);
        }
    }
}

void ioapic_eoi(Device *ioapic, uint8_t vector)
{
    Ioapic *s = (Ioapic *)ioapic;

    mutex_lock(&s->lock);
    ioapic_eoi_locked(s, vector);
    mutex_unlock(&s->lock);
}

void ioapic_request_route(Device *ioapic, unsigned pin)
{
    Ioapic *s = (Ioapic *)ioapic;

    mutex_lock(&s->lock);
    if (pin < s->n_pins) {
        s->requested[pin] = true;
        ioapic_update_routes_locked(s);
    }
    mutex_unlock(&s->lock);
}

IrqLine ioapic_line(Device *ioapic, unsigned pin)
{
    Ioapic *s = (Ioapic *)ioapic;

    if (pin >= s->n_pins) {
        return (IrqLine){.set = NULL};
    }
    return (IrqLine){.set = ioapic_set_pin, .opaque = s, .pin = pin};
}

static uint32_t ioapic_read_register_locked(const Ioapic *s) REQUIRES(s->lock)
{
    unsigned index = s->select;

    if (index == REG_ID || index == REG_ARBITRATION) {
        return (uint32_t)s->apic_id << 24;
    }
    if (index == REG_VERSION) {
        return (s->n_pins - 1) << 16 | IOAPIC_VERSION;
    }
    if (index >= REG_TABLE && (index - REG_TABLE) / 2 < s->n_pins) {
        return (uint32_t)(s->table[(index - REG_TABLE) / 2] >> (index % 2 * 32));
    }
    return UINT32_MAX;
}

static void ioapic_write_entry_locked(Ioapic *s, unsigned pin, uint64_t value, uint64_t mask)
    REQUIRES(s->lock)
{
    uint64_t entry = s->table[pin];
    bool was_masked = (entry & ENTRY_MASKED) != 0;

    mask &= ENTRY_WRITABLE;
    entry = (entry & ~mask) | (value & mask);
    if (!(entry & ENTRY_LEVEL)) {
        entry &= ~ENTRY_REMOTE_IRR; /* old kernels end an interrupt by going to edge and back */
    }
    s->table[pin] = entry;
    /* The route first: the EOI of what is delivered now may come at once. */
    ioapic_update_routes_locked(s);
    ioapic_check_level_locked(s, pin);
    if (was_masked && s->high[pin] && !(entry & (ENTRY_MASKED | ENTRY_LEVEL))) {
        ioapic_deliver_locked(s, pin);
    }
}

static void ioapic_write_register_locked(Ioapic *s, uint32_t value) REQUIRES(s->lock)
{
    unsigned index = s->select;

    if (index == REG_ID) {
        s->apic_id = value >> 24 & 0xf;
    } else if (index >= REG_TABLE && (index - REG_TABLE) / 2 < s->n_pins) {
        unsigned shift = index % 2 * 32;

        ioapic_write_entry_locked(s, (index - REG_TABLE) / 2, (uint64_t)value << shift,
                                  UINT64_C(0xffffffff) << shift);
    }
}

static uint64_t ioapic_bus_read(void *opaque, uint64_t offset, unsigned size)
{
    Ioapic *s = opaque;
    uint64_t value = 0;

    (void)size;
    mutex_lock(&s->lock);
    if (offset == IOREGSEL) {
        value = s->select;
    } else if (offset == IOWIN) {
        value = ioapic_read_register_locked(s);
    }
    mutex_unlock(&s->lock);
    return value;
}

static void ioapic_bus_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    Ioapic *s = opaque;

    (void)size;
    mutex_lock(&s->lock);
    if (offset == IOREGSEL) {
        s->select = (uint8_t)value;
    } else if (offset == IOWIN) {
        ioapic_write_register_locked(s, (uint32_t)value);
    } else if (offset == IOEOI) {
        ioapic_eoi_locked(s, (uint8_t)value);
    }
    mutex_unlock(&s->lock);
}

const BusOps ioapic_bus_ops = {.read = ioapic_bus_read, .write = ioapic_bus_write};

static void ioapic_clear_locked(Ioapic *s) REQUIRES(s->lock)
{
    s->select = 0;
    s->apic_id = s->reset_id;
    for (unsigned pin = 0; pin < IOAPIC_MAX_PINS; pin++) {
        s->table[pin] = ENTRY_MASKED;
        s->high[pin] = s->high[pin] && pin < s->n_pins; /* a failed load leaves anything */
    }
}

static bool ioapic_realize(Device *dev, GError **error)
{
    Ioapic *s = (Ioapic *)dev;

    if (s->n_pins < IOAPIC_MIN_PINS || s->n_pins > IOAPIC_MAX_PINS) {
        return fail(error, VMM_ERROR_CONFIG, "%u pins, expected %d to %d", s->n_pins,
                    IOAPIC_MIN_PINS, IOAPIC_MAX_PINS);
    }
    return true;
}

/* The wires stay as they are: whoever holds one up lets go in its own reset. */
static void ioapic_reset(Device *dev)
{
    Ioapic *s = (Ioapic *)dev;

    mutex_lock(&s->lock);
    ioapic_clear_locked(s);
    ioapic_update_routes_locked(s);
    mutex_unlock(&s->lock);
}

/* After a load the hypervisor knows no route yet, and a level may be waiting. */
static void ioapic_resume(Device *dev)
{
    Ioapic *s = (Ioapic *)dev;

    mutex_lock(&s->lock);
    ioapic_update_routes_locked(s);
    for (unsigned pin = 0; pin < s->n_pins; pin++) {
        ioapic_check_level_locked(s, pin);
    }
    mutex_unlock(&s->lock);
}

static void ioapic_finalize(Device *dev)
{
    mutex_fini(&((Ioapic *)dev)->lock);
}

static bool ioapic_pre_save(void *opaque, GError **error)
{
    Ioapic *s = opaque;

    (void)error;
    s->saved_pins = s->n_pins;
    return true;
}

static bool ioapic_post_load(void *opaque, uint32_t version, GError **error)
{
    const Ioapic *s = opaque;

    (void)version;
    if (s->saved_pins != s->n_pins) {
        return fail(error, VMM_ERROR_WIRE, "saved_pins: %u, but this machine's I/O APIC has %u",
                    s->saved_pins, s->n_pins);
    }
    if (s->apic_id > 0xf) {
        return fail(error, VMM_ERROR_WIRE, "apic_id: %u exceeds 15", s->apic_id);
    }
    for (unsigned pin = 0; pin < IOAPIC_MAX_PINS; pin++) {
        uint64_t entry = s->table[pin];
        bool used = pin < s->n_pins;

        if (s->high[pin] > used) {
            return fail(error, VMM_ERROR_WIRE, "high[%u]: impossible level %u", pin, s->high[pin]);
        }
        if ((entry & ~(ENTRY_WRITABLE | ENTRY_REMOTE_IRR)) ||
            ((entry & ENTRY_REMOTE_IRR) && !(entry & ENTRY_LEVEL)) ||
            (!used && entry != ENTRY_MASKED)) {
            return fail(error, VMM_ERROR_WIRE, "table[%u]: impossible entry 0x%" PRIx64, pin,
                        entry);
        }
    }
    return true;
}

static const VmStateField ioapic_fields[] = {
    VMSTATE_FIELD_U32(Ioapic, saved_pins, 1),  VMSTATE_FIELD_U8(Ioapic, select, 1),
    VMSTATE_FIELD_U8(Ioapic, apic_id, 1),      VMSTATE_FIELD_BYTES(Ioapic, high, 1),
    VMSTATE_FIELD_U64_ARRAY(Ioapic, table, 1),
};

const VmStateDesc ioapic_vmstate = {
    .name = "ioapic",
    .version = 1,
    .min_version = 1,
    .fields = ioapic_fields,
    .num_fields = G_N_ELEMENTS(ioapic_fields),
    .pre_save = ioapic_pre_save,
    .post_load = ioapic_post_load,
};

const DeviceOps ioapic_ops = {
    .name = "ioapic",
    .realize = ioapic_realize,
    .reset = ioapic_reset,
    .resume = ioapic_resume,
    .finalize = ioapic_finalize,
    .vmstate = &ioapic_vmstate,
};

Device *ioapic_new(const char *id, const IoapicConfig *config)
{
    Ioapic *s = device_alloc(&ioapic_ops, id, sizeof(*s));

    mutex_init(&s->lock);
    s->hypervisor = config->hypervisor;
    s->reset_id = config->apic_id & 0xf;
    s->n_pins = config->n_pins;
    mutex_lock(&s->lock);
    ioapic_clear_locked(s);
    mutex_unlock(&s->lock);
    return &s->base;
}
