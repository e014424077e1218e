/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest time is kept as whole seconds (host seconds plus offset_s, counted at an instant that is
 * phase_ns before the host's), because a guest may set any year that the registers can spell and
 * nanoseconds since 1970 do not reach there.
 */
#include "devices/platform/cmos.h"

#include "migration/vmstate.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/lock.h"
#include "util/utc.h"

#include <inttypes.h>
#include <time.h>

#define CMOS_BYTES       128
#define NS_PER_S         INT64_C(1000000000)
#define UPDATE_NS        INT64_C(244141) /* UIP rises this long before the second does */
#define OFFSET_MAX_S     INT64_C(1000000000000)

#define REG_SECOND       0x00
#define REG_SECOND_ALARM 0x01
#define REG_MINUTE       0x02
#define REG_MINUTE_ALARM 0x03
#define REG_HOUR         0x04
#define REG_HOUR_ALARM   0x05
#define REG_WEEKDAY      0x06
#define REG_DAY          0x07
#define REG_MONTH        0x08
#define REG_YEAR         0x09
#define REG_A            0x0a
#define REG_B            0x0b
#define REG_C            0x0c
#define REG_D            0x0d

#define A_UPDATING       0x80
#define A_DIVIDER        0x70
#define A_DIVIDER_32K    0x20
#define A_RATE           0x0f

#define B_SET            0x80
#define B_PERIODIC       0x40
#define B_ALARM          0x20
#define B_UPDATE         0x10
#define B_BINARY         0x04
#define B_24_HOURS       0x02
#define B_INTERRUPTS     (B_PERIODIC | B_ALARM | B_UPDATE)

#define C_ANY            0x80 /* an enabled one of the flags, which have B's bits */

#define D_VALID          0x80

#define HOUR_PM          0x80
#define ALARM_ANY        0xc0

typedef struct Cmos {
    Device base;

    /* fixed after creation */
    CmosConfig config;
    GuestTimer *timer;
    bool mapped;

    Mutex lock;
    /* guarded by lock */
    uint8_t index;
    uint8_t ram[CMOS_BYTES]; /* time registers are true only while B_SET freezes them */
    uint64_t offset_s;       /* two's complement */
    uint32_t phase_ns;
    uint64_t seen_s; /* flags are right up to here, two's complement */
    uint32_t seen_ns;
    bool drained;
} Cmos;

typedef struct GuestTime {
    int64_t s;
    int64_t ns; /* 0 .. NS_PER_S - 1 */
} GuestTime;

/* ---- time ---- */

static int64_t cmos_host_ns(const Cmos *s)
{
    struct timespec now;

    if (s->config.now_ns) {
        return s->config.now_ns(s->config.now_opaque);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static GuestTime cmos_now_locked(const Cmos *s) REQUIRES(s->lock)
{
    int64_t ns = cmos_host_ns(s) + s->phase_ns;

    return (GuestTime){.s = ns / NS_PER_S + (int64_t)s->offset_s, .ns = ns % NS_PER_S};
}

static uint8_t cmos_encode_locked(const Cmos *s, int value) REQUIRES(s->lock)
{
    return (uint8_t)(s->ram[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int cmos_decode_locked(const Cmos *s, uint8_t value) REQUIRES(s->lock)
{
    return s->ram[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 0xf);
}

static uint8_t cmos_encode_hour_locked(const Cmos *s, int hour) REQUIRES(s->lock)
{
    if (s->ram[REG_B] & B_24_HOURS) {
        return cmos_encode_locked(s, hour);
    }
    return cmos_encode_locked(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int cmos_decode_hour_locked(const Cmos *s, uint8_t value) REQUIRES(s->lock)
{
    if (s->ram[REG_B] & B_24_HOURS) {
        return cmos_decode_locked(s, value);
    }
    return cmos_decode_locked(s, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

static void cmos_time_to_registers_locked(Cmos *s) REQUIRES(s->lock)
{
    struct tm tm;

    utc_from_seconds((int64_t)cmos_now_locked(s).s, &tm);
    s->ram[REG_SECOND] = cmos_encode_locked(s, tm.tm_sec);
    s->ram[REG_MINUTE] = cmos_encode_locked(s, tm.tm_min);
    s->ram[REG_HOUR] = cmos_encode_hour_locked(s, tm.tm_hour);
    s->ram[REG_WEEKDAY] = cmos_encode_locked(s, tm.tm_wday + 1);
    s->ram[REG_DAY] = cmos_encode_locked(s, tm.tm_mday);
    s->ram[REG_MONTH] = cmos_encode_locked(s, tm.tm_mon + 1);
    s->ram[REG_YEAR] = cmos_encode_locked(s, (tm.tm_year + 1900) % 100);
    s->ram[CMOS_CENTURY] = cmos_encode_locked(s, (tm.tm_year + 1900) / 100 % 100);
}

/* The second that the registers show begins now. */
static void cmos_registers_to_time_locked(Cmos *s) REQUIRES(s->lock)
{
    struct tm tm = {
        .tm_sec = cmos_decode_locked(s, s->ram[REG_SECOND]),
        .tm_min = cmos_decode_locked(s, s->ram[REG_MINUTE]),
        .tm_hour = cmos_decode_hour_locked(s, s->ram[REG_HOUR]),
        .tm_mday = cmos_decode_locked(s, s->ram[REG_DAY]),
        .tm_mon = cmos_decode_locked(s, s->ram[REG_MONTH]) - 1,
        .tm_year = cmos_decode_locked(s, s->ram[REG_YEAR]) +
                   cmos_decode_locked(s, s->ram[CMOS_CENTURY]) * 100 - 1900,
    };
    int64_t host = cmos_host_ns(s);
    int64_t seconds = utc_to_seconds(&tm);

    s->phase_ns = (uint32_t)((NS_PER_S - host % NS_PER_S) % NS_PER_S);
    s->offset_s = (uint64_t)(seconds - (host + s->phase_ns) / NS_PER_S);
    s->seen_s = (uint64_t)seconds;
    s->seen_ns = 0;
}

/* ---- interrupts ---- */

static int64_t cmos_period_ns_locked(const Cmos *s) REQUIRES(s->lock)
{
    unsigned rate = s->ram[REG_A] & A_RATE;

    if (rate == 0 || (s->ram[REG_A] & A_DIVIDER) != A_DIVIDER_32K) {
        return 0;
    }
    if (rate < 3) {
        rate += 7; /* the chip's own oddity: 1 and 2 are as slow as 8 and 9 */
    }
    return (NS_PER_S << (rate - 1)) / 32768;
}

static bool alarm_matches(uint8_t alarm, uint8_t now)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

/*
 * The first second after `after` at which the alarm rings, at most a day later; steps by whole
 * hours and minutes where those cannot match.
 */
static int64_t cmos_next_alarm_locked(const Cmos *s, int64_t after) REQUIRES(s->lock)
{
    int64_t t = after + 1;

    while (t <= after + 86400) {
        int64_t day = ((t % 86400) + 86400) % 86400;
        int hour = (int)(day / 3600);
        int minute = (int)(day / 60 % 60);

        if (!alarm_matches(s->ram[REG_HOUR_ALARM], cmos_encode_hour_locked(s, hour))) {
            t += 3600 - day % 3600;
        } else if (!alarm_matches(s->ram[REG_MINUTE_ALARM], cmos_encode_locked(s, minute))) {
            t += 60 - day % 60;
        } else if (!alarm_matches(s->ram[REG_SECOND_ALARM],
                                  cmos_encode_locked(s, (int)(day % 60)))) {
            t++;
        } else {
            return t;
        }
    }
    return INT64_MAX;
}

/* Sets the flags of everything that happened since the last look. */
static void cmos_catch_up_locked(Cmos *s) REQUIRES(s->lock)
{
    GuestTime now = cmos_now_locked(s);
    int64_t seen_s = (int64_t)s->seen_s;
    int64_t period = cmos_period_ns_locked(s);

    if (s->ram[REG_B] & B_SET) {
        seen_s = now.s;
    }
    if (now.s > seen_s) {
        s->ram[REG_C] |= B_UPDATE;
        if (cmos_next_alarm_locked(s, seen_s) <= now.s) {
            s->ram[REG_C] |= B_ALARM;
        }
    }
    /* every period divides a second evenly enough to be counted from its beginning */
    if (period > 0 && (now.s > seen_s || now.ns / period > s->seen_ns / period)) {
        s->ram[REG_C] |= B_PERIODIC;
    }
    s->seen_s = (uint64_t)now.s;
    s->seen_ns = (uint32_t)now.ns;
    if (s->ram[REG_C] & s->ram[REG_B] & B_INTERRUPTS) {
        s->ram[REG_C] |= C_ANY;
    } else {
        s->ram[REG_C] &= (uint8_t)~C_ANY;
    }
    irq_set(&s->config.irq, (s->ram[REG_C] & C_ANY) != 0);
}

/* Guest nanoseconds from now until the first enabled event, or -1. */
static int64_t cmos_next_event_locked(const Cmos *s) REQUIRES(s->lock)
{
    uint8_t enabled = s->ram[REG_B] & B_INTERRUPTS;
    GuestTime now = cmos_now_locked(s);
    int64_t period = cmos_period_ns_locked(s);
    int64_t wait = INT64_MAX;

    if ((enabled & B_PERIODIC) && period > 0) {
        wait = MIN(wait, MIN(period - now.ns % period, NS_PER_S - now.ns));
    }
    if (s->ram[REG_B] & B_SET) {
        enabled &= B_PERIODIC;
    }
    if (enabled & B_UPDATE) {
        wait = MIN(wait, NS_PER_S - now.ns);
    }
    if (enabled & B_ALARM) {
        int64_t alarm = cmos_next_alarm_locked(s, now.s);

        if (alarm != INT64_MAX) {
            wait = MIN(wait, (alarm - now.s) * NS_PER_S - now.ns);
        }
    }
    return wait == INT64_MAX ? -1 : wait;
}

/* While the interrupt is up, nothing more is waited for: reading C brings the flags up to date. */
static void cmos_rearm_locked(Cmos *s) REQUIRES(s->lock)
{
    int64_t wait = -1;

    if (!s->timer) {
        return;
    }
    if (!s->drained && !(s->ram[REG_C] & C_ANY)) {
        wait = cmos_next_event_locked(s);
    }
    if (wait >= 0) {
        guest_timer_arm(s->timer, guest_clock_now_ns(s->config.clock) + wait);
    } else {
        guest_timer_disarm(s->timer);
    }
}

static void cmos_timer(void *opaque)
{
    Cmos *s = opaque;

    mutex_lock(&s->lock);
    if (!s->drained) {
        cmos_catch_up_locked(s);
        cmos_rearm_locked(s);
    }
    mutex_unlock(&s->lock);
}

/* ---- registers ---- */

static bool is_time_register(uint8_t index)
{
    return index == REG_SECOND || index == REG_MINUTE || index == REG_HOUR ||
           (index >= REG_WEEKDAY && index <= REG_YEAR) || index == CMOS_CENTURY;
}

static uint8_t cmos_read_locked(Cmos *s) REQUIRES(s->lock)
{
    bool set = (s->ram[REG_B] & B_SET) != 0;
    uint8_t value;

    if (is_time_register(s->index) && !set) {
        cmos_time_to_registers_locked(s);
    }
    if (s->index == REG_A && !set && cmos_now_locked(s).ns >= NS_PER_S - UPDATE_NS) {
        return s->ram[REG_A] | A_UPDATING;
    }
    if (s->index == REG_C) {
        cmos_catch_up_locked(s);
        value = s->ram[REG_C];
        s->ram[REG_C] = 0;
        irq_set(&s->config.irq, false);
        cmos_rearm_locked(s);
        return value;
    }
    return s->ram[s->index];
}

static void cmos_write_b_locked(Cmos *s, uint8_t value) REQUIRES(s->lock)
{
    uint8_t old = s->ram[REG_B];

    if ((value & B_SET) && !(old & B_SET)) {
        cmos_time_to_registers_locked(s);
    }
    if (value & B_SET) {
        value &= (uint8_t)~B_UPDATE;
    }
    s->ram[REG_B] = value;
    if ((old & B_SET) && !(value & B_SET)) {
        cmos_registers_to_time_locked(s);
    }
}

static void cmos_write_time_locked(Cmos *s, uint8_t value) REQUIRES(s->lock)
{
    bool set = (s->ram[REG_B] & B_SET) != 0;

    if (!set) {
        cmos_time_to_registers_locked(s);
    }
    s->ram[s->index] = value;
    if (!set) {
        cmos_registers_to_time_locked(s);
    }
}

static void cmos_write_locked(Cmos *s, uint8_t value) REQUIRES(s->lock)
{
    cmos_catch_up_locked(s);
    if (is_time_register(s->index)) {
        cmos_write_time_locked(s, value);
    } else if (s->index == REG_A) {
        s->ram[REG_A] = value & (uint8_t)~A_UPDATING;
    } else if (s->index == REG_B) {
        cmos_write_b_locked(s, value);
    } else if (s->index != REG_C && s->index != REG_D) {
        s->ram[s->index] = value;
    }
    cmos_catch_up_locked(s);
    cmos_rearm_locked(s);
}

static uint64_t cmos_bus_read(void *opaque, uint64_t offset, unsigned size)
{
    Cmos *s = opaque;
    uint8_t value = 0xff; /* the index cannot be read back */

    (void)size;
    mutex_lock(&s->lock);
    if (offset == 1) {
        value = cmos_read_locked(s);
    }
    mutex_unlock(&s->lock);
    return value;
}

static void cmos_bus_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    Cmos *s = opaque;

    (void)size;
    mutex_lock(&s->lock);
    if (offset == 0) {
        s->index = value & (CMOS_BYTES - 1); /* bit 7 masks NMIs, of which there are none */
    } else {
        cmos_write_locked(s, (uint8_t)value);
    }
    mutex_unlock(&s->lock);
}

static const BusOps cmos_bus_ops = {.read = cmos_bus_read, .write = cmos_bus_write};

/* ---- life ---- */

static void store_units(uint8_t *low, uint64_t bytes, uint64_t unit, uint64_t max)
{
    uint64_t units = MIN(bytes / unit, max);

    low[0] = (uint8_t)units;
    low[1] = (uint8_t)(units >> 8);
}

/* Where firmware of all ages looks for the size of RAM. */
static void cmos_store_ram_size(Cmos *s)
{
    uint64_t below = s->config.ram_below_4g;
    uint64_t above = s->config.ram_above_4g;
    uint64_t from_1m = below > 1u << 20 ? below - (1u << 20) : 0;
    uint64_t from_16m = below > 16u << 20 ? below - (16u << 20) : 0;

    store_units(&s->ram[0x15], 640u << 10, 1u << 10, UINT16_MAX);
    store_units(&s->ram[0x17], from_1m, 1u << 10, UINT16_MAX);
    store_units(&s->ram[0x30], from_1m, 1u << 10, UINT16_MAX);
    store_units(&s->ram[0x34], from_16m, 1u << 16, UINT16_MAX);
    store_units(&s->ram[0x5b], above, 1u << 16, 0xffffff);
    s->ram[0x5d] = (uint8_t)(MIN(above >> 16, 0xffffff) >> 16);
}

static bool cmos_realize(Device *dev, GError **error)
{
    Cmos *s = (Cmos *)dev;

    s->timer = guest_timer_new(s->config.clock, cmos_timer, s);
    s->mapped = bus_map(s->config.ports,
                        &(BusWindow){.base = CMOS_PORT,
                                     .size = CMOS_PORTS,
                                     .owner = dev->id,
                                     .ops = &cmos_bus_ops,
                                     .opaque = s},
                        error);
    return s->mapped;
}

static bool is_within(uint64_t seconds, int64_t limit)
{
    return (int64_t)seconds >= -limit && (int64_t)seconds <= limit;
}

/* No arithmetic on a clock like this overflows. */
static bool cmos_clock_is_sane(const Cmos *s)
{
    return is_within(s->offset_s, OFFSET_MAX_S) && is_within(s->seen_s, 2 * OFFSET_MAX_S) &&
           s->phase_ns < NS_PER_S && s->seen_ns < NS_PER_S;
}

static void cmos_start_clock_locked(Cmos *s) REQUIRES(s->lock)
{
    s->offset_s = (uint64_t)CLAMP(s->config.offset_s, -OFFSET_MAX_S, OFFSET_MAX_S);
    s->phase_ns = 0;
    s->seen_s = (uint64_t)cmos_now_locked(s).s;
    s->seen_ns = 0;
}

/* The battery keeps time and memory (unless a failed load ruined it); interrupts are disabled. */
static void cmos_reset(Device *dev)
{
    Cmos *s = (Cmos *)dev;

    mutex_lock(&s->lock);
    s->index = 0;
    if (!cmos_clock_is_sane(s)) {
        cmos_start_clock_locked(s);
    }
    if (s->ram[REG_B] & B_SET) {
        cmos_registers_to_time_locked(s);
    }
    s->ram[REG_B] &= B_BINARY | B_24_HOURS;
    s->ram[REG_C] = 0;
    irq_set(&s->config.irq, false);
    cmos_rearm_locked(s);
    mutex_unlock(&s->lock);
}

/* What the guest is not to notice of the host's time. */
static bool cmos_restored(Device *dev, const DeviceRestore *restore, GError **error)
{
    Cmos *s = (Cmos *)dev;
    int64_t ns;

    (void)error;
    mutex_lock(&s->lock);
    ns = s->phase_ns - restore->hidden_ns % NS_PER_S;
    s->offset_s -= (uint64_t)(restore->hidden_ns / NS_PER_S);
    if (ns < 0) {
        ns += NS_PER_S;
        s->offset_s--;
    } else if (ns >= NS_PER_S) {
        ns -= NS_PER_S;
        s->offset_s++;
    }
    s->phase_ns = (uint32_t)ns;
    mutex_unlock(&s->lock);
    return true;
}

static bool cmos_drain(Device *dev, GError **error)
{
    Cmos *s = (Cmos *)dev;

    (void)error;
    mutex_lock(&s->lock);
    cmos_catch_up_locked(s);
    s->drained = true;
    cmos_rearm_locked(s);
    mutex_unlock(&s->lock);
    return true;
}

static void cmos_resume(Device *dev)
{
    Cmos *s = (Cmos *)dev;

    mutex_lock(&s->lock);
    s->drained = false;
    cmos_catch_up_locked(s);
    cmos_rearm_locked(s);
    mutex_unlock(&s->lock);
}

static void cmos_finalize(Device *dev)
{
    Cmos *s = (Cmos *)dev;

    if (s->mapped) {
        bus_unmap(s->config.ports, CMOS_PORT);
    }
    guest_timer_free(s->timer);
    mutex_fini(&s->lock);
}

static bool cmos_post_load(void *opaque, uint32_t version, GError **error)
{
    const Cmos *s = opaque;

    (void)version;
    if (s->index >= CMOS_BYTES) {
        return fail(error, VMM_ERROR_WIRE, "index: %u exceeds %d", s->index, CMOS_BYTES - 1);
    }
    if (!cmos_clock_is_sane(s)) {
        return fail(error, VMM_ERROR_WIRE,
                    "offset_s: no clock is %" PRId64 " s off, %u ns early and seen at %" PRId64
                    ".%09u",
                    (int64_t)s->offset_s, s->phase_ns, (int64_t)s->seen_s, s->seen_ns);
    }
    return true;
}

static const VmStateField cmos_fields[] = {
    VMSTATE_FIELD_U8(Cmos, index, 1),     VMSTATE_FIELD_BYTES(Cmos, ram, 1),
    VMSTATE_FIELD_U64(Cmos, offset_s, 1), VMSTATE_FIELD_U32(Cmos, phase_ns, 1),
    VMSTATE_FIELD_U64(Cmos, seen_s, 1),   VMSTATE_FIELD_U32(Cmos, seen_ns, 1),
};

const VmStateDesc cmos_vmstate = {
    .name = "cmos",
    .version = 1,
    .min_version = 1,
    .fields = cmos_fields,
    .num_fields = G_N_ELEMENTS(cmos_fields),
    .post_load = cmos_post_load,
};

const DeviceOps cmos_ops = {
    .name = "mc146818",
    .realize = cmos_realize,
    .reset = cmos_reset,
    .restored = cmos_restored,
    .drain = cmos_drain,
    .resume = cmos_resume,
    .finalize = cmos_finalize,
    .vmstate = &cmos_vmstate,
};

Device *cmos_new(const char *id, const CmosConfig *config)
{
    Cmos *s = device_alloc(&cmos_ops, id, sizeof(*s));

    s->config = *config;
    mutex_init(&s->lock);
    s->ram[REG_A] = A_DIVIDER_32K | 6; /* 1024 Hz */
    s->ram[REG_B] = B_24_HOURS;
    s->ram[REG_D] = D_VALID;
    cmos_store_ram_size(s);
    mutex_lock(&s->lock);
    cmos_start_clock_locked(s);
    mutex_unlock(&s->lock);
    return &s->base;
}
