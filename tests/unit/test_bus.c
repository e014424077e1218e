/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/bus.h"

#include "tests/unit/suite.h"
#include "util/error.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

/* A device of registers that remembers its last access and reads as base + offset. */
typedef struct Probe {
    uint64_t base;
    uint64_t offset;
    uint64_t value;
    unsigned size;
    unsigned writes;
} Probe;

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    Probe *probe = opaque;

    probe->offset = offset;
    probe->size = size;
    return probe->base + offset;
}

static void probe_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    Probe *probe = opaque;

    probe->offset = offset;
    probe->size = size;
    probe->value = value;
    probe->writes++;
}

static const BusOps probe_ops = {.read = probe_read, .write = probe_write};

static void map_probe(Bus *bus, Probe *probe, uint64_t base, uint64_t size)
{
    g_autoptr(GError) error = NULL;

    probe->base = base;
    ck_assert_msg(
        bus_map(
            bus,
            &(BusWindow){
                .base = base, .size = size, .owner = "probe", .ops = &probe_ops, .opaque = probe},
            &error),
        "%s", error ? error->message : "");
}

START_TEST(an_access_reaches_the_window_it_lies_in)
{
    g_autoptr(Bus) bus = bus_new("mmio");
    Probe a = {0};
    Probe b = {0};
    uint64_t value;

    map_probe(bus, &b, 0x2000, 0x10);
    map_probe(bus, &a, 0x1000, 0x1000);
    ck_assert(bus_read(bus, 0x1ffc, 4, &value));
    ck_assert_uint_eq(value, 0x1ffc);
    ck_assert_uint_eq(a.size, 4);
    ck_assert(bus_write(bus, 0x2008, 8, 0x1122334455667788));
    ck_assert_uint_eq(b.offset, 8);
    ck_assert_uint_eq(b.size, 8);
    ck_assert_uint_eq(b.value, 0x1122334455667788);
    ck_assert_uint_eq(a.writes, 0);
}
END_TEST

START_TEST(an_access_that_nobody_answers_reads_ones)
{
    g_autoptr(Bus) bus = bus_new("port");
    Probe probe = {0};
    uint64_t value = 0;

    ck_assert(!bus_read(bus, 0, 1, &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    map_probe(bus, &probe, 0x60, 4);
    ck_assert(!bus_read(bus, 0x5f, 1, &value));
    ck_assert(!bus_read(bus, 0x64, 1, &value));
    ck_assert(!bus_write(bus, 0x64, 1, 0));
    ck_assert(!bus_read(bus, UINT64_MAX, 8, &value));
    ck_assert_uint_eq(probe.writes, 0);
}
END_TEST

START_TEST(an_access_across_the_edge_is_nobodys)
{
    g_autoptr(Bus) bus = bus_new("mmio");
    Probe a = {0};
    Probe b = {0};
    uint64_t value;

    map_probe(bus, &a, 0x100, 4);
    map_probe(bus, &b, 0x104, 4);
    ck_assert(!bus_read(bus, 0x102, 4, &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    ck_assert(!bus_read(bus, 0xfe, 4, &value));
    ck_assert(!bus_write(bus, 0x106, 4, 1));
    ck_assert_uint_eq(a.size, 0);
    ck_assert_uint_eq(b.size, 0);
}
END_TEST

START_TEST(windows_that_overlap_are_refused_by_name)
{
    static const struct {
        uint64_t base;
        uint64_t size;
    } clashes[] = {{0x1000, 0x1000}, {0xfff, 2},      {0x1fff, 1},
                   {0x1800, 1},      {0x800, 0x1800}, {0, UINT64_MAX}};
    g_autoptr(Bus) bus = bus_new("mmio");
    Probe probe = {0};
    uint64_t value;

    map_probe(bus, &probe, 0x1000, 0x1000);
    for (size_t i = 0; i < G_N_ELEMENTS(clashes); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *message = g_strdup_printf("late: mmio bus address 0x%" PRIx64
                                                   " (+0x%" PRIx64 ") overlaps probe at 0x1000",
                                                   clashes[i].base, clashes[i].size);

        ck_assert(!bus_map(bus,
                           &(BusWindow){.base = clashes[i].base,
                                        .size = clashes[i].size,
                                        .owner = "late",
                                        .ops = &probe_ops,
                                        .opaque = &probe},
                           &error));
        ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
        ck_assert_str_eq(error->message, message);
    }
    ck_assert(!bus_read(bus, 0xfff, 1, &value));
    ck_assert(bus_read(bus, 0x1000, 1, &value));
}
END_TEST

START_TEST(windows_of_impossible_size_are_refused)
{
    g_autoptr(Bus) bus = bus_new("mmio");
    g_autoptr(GError) empty = NULL;
    g_autoptr(GError) beyond = NULL;
    Probe probe = {0};
    uint64_t value;

    ck_assert(!bus_map(
        bus,
        &(BusWindow){.base = 0, .size = 0, .owner = "late", .ops = &probe_ops, .opaque = &probe},
        &empty));
    ck_assert_str_eq(empty->message, "late: mmio bus window at 0x0 has impossible size 0x0");
    ck_assert(!bus_map(
        bus,
        &(BusWindow){
            .base = UINT64_MAX, .size = 2, .owner = "late", .ops = &probe_ops, .opaque = &probe},
        &beyond));

    /* but the last byte of all can be had */
    map_probe(bus, &probe, UINT64_MAX, 1);
    ck_assert(bus_read(bus, UINT64_MAX, 1, &value));
    ck_assert(!bus_read(bus, UINT64_MAX, 2, &value));
}
END_TEST

START_TEST(an_unmapped_window_can_be_taken_again)
{
    g_autoptr(Bus) bus = bus_new("mmio");
    Probe a = {0};
    Probe b = {0};
    uint64_t value;

    map_probe(bus, &a, 0x1000, 0x10);
    bus_unmap(bus, 0x1008);
    ck_assert(bus_read(bus, 0x1008, 1, &value));
    bus_unmap(bus, 0x1000);
    ck_assert(!bus_read(bus, 0x1000, 1, &value));
    bus_unmap(bus, 0x1000);
    map_probe(bus, &b, 0x0ff8, 0x10);
    ck_assert(bus_read(bus, 0x1000, 1, &value));
    ck_assert_uint_eq(b.offset, 8);
}
END_TEST

START_TEST(many_windows_are_all_found)
{
    enum {
        COUNT = 500
    };
    g_autoptr(Bus) bus = bus_new("mmio");
    Probe probes[COUNT] = {0};
    uint64_t value;

    /* in an order that is neither up nor down */
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned at = i * 7 % COUNT;

        map_probe(bus, &probes[at], at * UINT64_C(0x1000), 0x200);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert(bus_read(bus, i * UINT64_C(0x1000) + 0x1ff, 1, &value));
        ck_assert_uint_eq(value, i * UINT64_C(0x1000) + 0x1ff);
        ck_assert(!bus_read(bus, i * UINT64_C(0x1000) + 0x200, 1, &value));
    }
}
END_TEST

/* ---- lookups while windows come and go ---------------------------------------------------- */

#define STRESS_READERS 3
#define STRESS_CHANGES 3000
#define STRESS_FIXED   0x10000
#define STRESS_MOVING  0x20000

static uint64_t stress_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return *(const uint64_t *)opaque + offset;
}

static void stress_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque;
    (void)offset;
    (void)size;
    (void)value;
}

static const BusOps stress_ops = {.read = stress_read, .write = stress_write};

typedef struct Stress {
    Bus *bus;
    atomic_bool stop;
    atomic_uint wrong;
    atomic_ulong hits;
} Stress;

/* The fixed window always answers; the moving ones answer right or not at all. */
static void *stress_reader(void *opaque)
{
    Stress *stress = opaque;

    while (!atomic_load(&stress->stop)) {
        uint64_t value;

        if (!bus_read(stress->bus, STRESS_FIXED + 4, 4, &value) || value != STRESS_FIXED + 4) {
            atomic_fetch_add(&stress->wrong, 1);
        }
        for (uint64_t at = STRESS_MOVING; at < STRESS_MOVING + 8 * 0x100; at += 0x100) {
            if (bus_read(stress->bus, at + 8, 8, &value)) {
                atomic_fetch_add(&stress->hits, 1);
                if (value != at + 8) {
                    atomic_fetch_add(&stress->wrong, 1);
                }
            }
        }
        bus_write(stress->bus, STRESS_FIXED, 4, 0);
    }
    return NULL;
}

START_TEST(readers_never_see_a_half_made_change)
{
    g_autoptr(Bus) bus = bus_new("mmio");
    Stress stress = {.bus = bus};
    static uint64_t fixed = STRESS_FIXED;
    static uint64_t moving[8];
    GThread *readers[STRESS_READERS];
    g_autoptr(GError) error = NULL;

    ck_assert(bus_map(bus,
                      &(BusWindow){.base = STRESS_FIXED,
                                   .size = 0x100,
                                   .owner = "fixed",
                                   .ops = &stress_ops,
                                   .opaque = &fixed},
                      &error));
    for (unsigned i = 0; i < G_N_ELEMENTS(moving); i++) {
        moving[i] = STRESS_MOVING + i * 0x100;
    }
    for (unsigned i = 0; i < STRESS_READERS; i++) {
        readers[i] = g_thread_new("reader", stress_reader, &stress);
    }
    for (unsigned i = 0; i < STRESS_CHANGES; i++) {
        uint64_t *base = &moving[i % G_N_ELEMENTS(moving)];

        if (i / G_N_ELEMENTS(moving) % 2 == 0) {
            ck_assert(bus_map(bus,
                              &(BusWindow){.base = *base,
                                           .size = 0x100,
                                           .owner = "moving",
                                           .ops = &stress_ops,
                                           .opaque = base},
                              &error));
        } else {
            bus_unmap(bus, *base);
        }
    }
    /* all moving windows are mapped now or will be: wait until a reader found one */
    for (unsigned i = 0; i < G_N_ELEMENTS(moving); i++) {
        bus_unmap(bus, moving[i]);
        ck_assert(bus_map(bus,
                          &(BusWindow){.base = moving[i],
                                       .size = 0x100,
                                       .owner = "moving",
                                       .ops = &stress_ops,
                                       .opaque = &moving[i]},
                          &error));
    }
    while (atomic_load(&stress.hits) == 0) {
        g_thread_yield();
    }
    atomic_store(&stress.stop, true);
    for (unsigned i = 0; i < STRESS_READERS; i++) {
        g_thread_join(readers[i]);
    }
    ck_assert_uint_eq(atomic_load(&stress.wrong), 0);
}
END_TEST

typedef struct Race {
    Bus *bus;
    unsigned wins;
} Race;

static void *race_mapper(void *opaque)
{
    Race *race = opaque;
    static uint64_t base;

    for (uint64_t at = 0; at < 200; at++) {
        g_autoptr(GError) error = NULL;

        if (bus_map(race->bus,
                    &(BusWindow){.base = at * 16,
                                 .size = 16,
                                 .owner = "racer",
                                 .ops = &stress_ops,
                                 .opaque = &base},
                    &error)) {
            race->wins++;
        }
    }
    return NULL;
}

START_TEST(one_of_two_racing_maps_wins)
{
    g_autoptr(Bus) bus = bus_new("mmio");
    Race a = {.bus = bus};
    Race b = {.bus = bus};
    GThread *thread = g_thread_new("racer", race_mapper, &a);

    race_mapper(&b);
    g_thread_join(thread);
    ck_assert_uint_eq(a.wins + b.wins, 200);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("bus");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, an_access_reaches_the_window_it_lies_in);
    tcase_add_test(tc, an_access_that_nobody_answers_reads_ones);
    tcase_add_test(tc, an_access_across_the_edge_is_nobodys);
    tcase_add_test(tc, windows_that_overlap_are_refused_by_name);
    tcase_add_test(tc, windows_of_impossible_size_are_refused);
    tcase_add_test(tc, an_unmapped_window_can_be_taken_again);
    tcase_add_test(tc, many_windows_are_all_found);
    tcase_add_test(tc, readers_never_see_a_half_made_change);
    tcase_add_test(tc, one_of_two_racing_maps_wins);
    return suite_run("bus", tc);
}
