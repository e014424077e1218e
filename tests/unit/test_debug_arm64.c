/* SPDX-License-Identifier: Apache-2.0 */
/* What a debugger asks for in the words of AArch64 and KVM, and the way through a guest's tables. */
#include "hypervisor/arm64/debug.h"

#include "hypervisor/arm64/page_walk.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#define CLASS(class) ((uint32_t)(class) << 26)

static const Arm64DebugLimits limits = {.breakpoints = 2, .watchpoints = 2};

START_TEST(points_become_breakpoint_and_watchpoint_registers)
{
    const DebugSettings settings = {
        .software = true,
        .num_points = 4,
        .points = {{DEBUG_POINT_EXECUTE, 0xffff800008001000, 1},
                   {DEBUG_POINT_WRITE, 0x1004, 4},
                   {DEBUG_POINT_EXECUTE, 0x400, 1},
                   {DEBUG_POINT_READ, 0x2000, 32}},
    };
    struct kvm_guest_debug debug;

    ck_assert(arm64_debug_check(&settings, &limits, NULL));
    arm64_debug_encode(&settings, &debug);
    ck_assert_uint_eq(debug.control,
                      KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW);
    ck_assert_uint_eq(debug.arch.dbg_bcr[0], 0x1e7);
    ck_assert_uint_eq(debug.arch.dbg_bvr[0], 0xffff800008001000);
    ck_assert_uint_eq(debug.arch.dbg_bvr[1], 0x400);
    /* Enabled for both levels, stores, bytes 4 to 7. */
    ck_assert_uint_eq(debug.arch.dbg_wcr[0], 7 | 2 << 3 | 0xf0 << 5);
    ck_assert_uint_eq(debug.arch.dbg_wvr[0], 0x1000);
    /* Loads, all bytes, 5 address bits ignored. */
    ck_assert_uint_eq(debug.arch.dbg_wcr[1], 7 | 1 << 3 | 0xff << 5 | 5 << 24);
    ck_assert_uint_eq(debug.arch.dbg_wvr[1], 0x2000);
}
END_TEST

START_TEST(what_the_processor_cannot_watch_is_refused)
{
    static const DebugPoint bad[] = {
        {DEBUG_POINT_WRITE, 0x1006, 4},     {DEBUG_POINT_WRITE, 0x1000, 0},
        {DEBUG_POINT_WRITE, 0x1000, 24},    {DEBUG_POINT_WRITE, 0x1008, 16},
        {DEBUG_POINT_WRITE, 0, UINT64_MAX},
    };
    DebugSettings settings = {.num_points = 3};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const DebugSettings one = {.num_points = 1, .points = {bad[i]}};

        ck_assert(!arm64_debug_check(&one, &limits, NULL));
    }
    for (unsigned i = 0; i < 3; i++) {
        settings.points[i] = (DebugPoint){DEBUG_POINT_EXECUTE, 0x1000, 1};
    }
    ck_assert(!arm64_debug_check(&settings, &limits, NULL));
}
END_TEST

static DebugStop decode(const DebugSettings *settings, uint32_t class, uint64_t far)
{
    const struct kvm_debug_exit_arch exit = {.hsr = CLASS(class), .far = far};
    DebugStop stop;

    arm64_debug_decode(settings, &exit, 0x100, &stop);
    return stop;
}

START_TEST(an_exit_is_told_apart)
{
    const DebugSettings idle = {0};
    const DebugSettings stepping = {.step = true};
    const DebugSettings watching = {
        .num_points = 3,
        .points = {{DEBUG_POINT_EXECUTE, 0x100, 1},
                   {DEBUG_POINT_WRITE, 0x2000, 8},
                   {DEBUG_POINT_ACCESS, 0x3000, 8}},
    };

    ck_assert_int_eq(decode(&stepping, 0x32, 0).kind, DEBUG_STOP_STEP);
    ck_assert_int_eq(decode(&idle, 0x32, 0).kind, DEBUG_STOP_NONE);
    ck_assert_int_eq(decode(&idle, 0x3c, 0).kind, DEBUG_STOP_SOFTWARE);
    ck_assert_int_eq(decode(&watching, 0x30, 0).kind, DEBUG_STOP_POINT);
    ck_assert_int_eq(decode(&watching, 0x30, 0).point, DEBUG_POINT_EXECUTE);
    ck_assert_int_eq(decode(&idle, 0x30, 0).kind, DEBUG_STOP_NONE);
    ck_assert_uint_eq(decode(&watching, 0x34, 0x3004).address, 0x3000);
    ck_assert_int_eq(decode(&watching, 0x34, 0x3004).point, DEBUG_POINT_ACCESS);
    /* A wide access that begins before. */
    ck_assert_uint_eq(decode(&watching, 0x34, 0x1ff8).address, 0x2000);
    ck_assert_int_eq(decode(&idle, 0x34, 0x1ff8).kind, DEBUG_STOP_NONE);
    ck_assert_int_eq(decode(&watching, 0x15, 0).kind, DEBUG_STOP_NONE);
}
END_TEST

START_TEST(the_guests_own_exception_goes_to_its_vector)
{
    static const struct {
        uint64_t pstate, offset;
    } cases[] = {{0x3c4, 0}, {0x5, 0x200}, {0x0, 0x400}, {0x10, 0x600}};
    const struct kvm_debug_exit_arch brk = {.hsr = CLASS(0x3c) | 0x42};
    const struct kvm_debug_exit_arch step = {.hsr = CLASS(0x32)};
    Arm64Exception taken;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        arm64_debug_take(&brk, 0x1000, cases[i].pstate, 0xffff0000, &taken);
        ck_assert_uint_eq(taken.pc, 0xffff0000 + cases[i].offset);
        ck_assert_uint_eq(taken.elr, 0x1000);
        ck_assert_uint_eq(taken.spsr, cases[i].pstate);
        ck_assert_uint_eq(taken.esr, brk.hsr);
        ck_assert_uint_eq(taken.pstate, 0x3c5);
    }
    arm64_debug_take(&step, 0, 0x5, 0, &taken);
    ck_assert_uint_eq(taken.esr, CLASS(0x33));
    arm64_debug_take(&step, 0, 0x0, 0, &taken);
    ck_assert_uint_eq(taken.esr, CLASS(0x32));
}
END_TEST

/* ---- the guest's tables -------------------------------------------------------------------- */

#define RAM_SIZE UINT64_C(0x100000)
#define TABLE    UINT64_C(3)
#define PAGE     UINT64_C(3)
#define BLOCK    UINT64_C(1)
#define MMU_ON   UINT64_C(1)

static void set_desc(GuestMemory *mem, uint64_t table, unsigned index, uint64_t desc)
{
    uint8_t bytes[8];

    store_le64(bytes, desc);
    ck_assert(guest_mem_write(mem, GPA(table + UINT64_C(8) * index), bytes, sizeof(bytes), NULL));
}

static GuestMemory *new_ram(void)
{
    GuestMemory *mem = guest_mem_new(NULL);

    ck_assert(guest_mem_add_plain(mem, RAM_SIZE, NULL));
    return mem;
}

static void maps(const GuestMemory *mem, const Arm64Regime *regime, uint64_t address, uint64_t gpa)
{
    uint64_t found;

    ck_assert(arm64_page_walk(mem, regime, address, &found));
    ck_assert_uint_eq(found, gpa);
}

static void maps_not(const GuestMemory *mem, const Arm64Regime *regime, uint64_t address)
{
    uint64_t found;

    ck_assert(!arm64_page_walk(mem, regime, address, &found));
}

START_TEST(without_an_mmu_addresses_are_physical)
{
    g_autoptr(GuestMemory) mem = new_ram();
    const Arm64Regime regime = {0};

    maps(mem, &regime, 0x40001234, 0x40001234);
}
END_TEST

/* 48 bits, 4 KiB: four levels; TG1 = 2. */
START_TEST(pages_and_blocks_of_4_kib_tables_are_found)
{
    g_autoptr(GuestMemory) mem = new_ram();
    const Arm64Regime regime = {.sctlr = MMU_ON,
                                .tcr = 16 | 16 << 16 | UINT64_C(2) << 30,
                                .ttbr0 = 0x1000,
                                .ttbr1 = 0x5001};

    set_desc(mem, 0x1000, 0, 0x2000 | TABLE);
    set_desc(mem, 0x2000, 1, 0x3000 | TABLE);
    set_desc(mem, 0x3000, 2, 0x4000 | TABLE);
    set_desc(mem, 0x4000, 3, 0x0060000087654000 | 0x703 | PAGE); /* with attributes */
    set_desc(mem, 0x3000, 4, 0x40200000 | BLOCK);
    set_desc(mem, 0x4000, 5, 0x1000 | BLOCK);     /* there are none at the last level */
    set_desc(mem, 0x3000, 6, 0x80000000 | TABLE); /* not in RAM */
    maps(mem, &regime, 0x40403abc, 0x87654abc);
    maps(mem, &regime, 0x40912345, 0x40312345);
    maps_not(mem, &regime, 0x40405000);
    maps_not(mem, &regime, 0x40c00000);
    maps_not(mem, &regime, 0x40400000);
    maps_not(mem, &regime, 0x0001000000000000);
    maps_not(mem, &regime, 0x00ff000040403abc);

    set_desc(mem, 0x5000, 0, 0x2000 | TABLE);
    maps(mem, &regime, 0xffff000040403abc, 0x87654abc);
    maps_not(mem, &regime, 0xfff0000040403abc);
}
END_TEST

/* 39 bits, 4 KiB, TBI0: three levels. */
START_TEST(tags_are_not_part_of_the_address)
{
    g_autoptr(GuestMemory) mem = new_ram();
    const Arm64Regime regime = {.sctlr = MMU_ON, .tcr = 25 | UINT64_C(1) << 37, .ttbr0 = 0x2000};

    set_desc(mem, 0x2000, 1, 0x40000000 | BLOCK);
    maps(mem, &regime, 0x40000008, 0x40000008);
    maps(mem, &regime, 0xab00000040000008, 0x40000008);
    maps_not(mem, &regime, 0x00ab000040000008);
}
END_TEST

/* 42 bits, 64 KiB: two levels; 36 bits, 16 KiB: a topmost table of two levels more. */
START_TEST(larger_pages_are_found)
{
    g_autoptr(GuestMemory) mem = new_ram();
    const Arm64Regime large = {.sctlr = MMU_ON, .tcr = 22 | 1 << 14, .ttbr0 = 0x10000};
    const Arm64Regime medium = {.sctlr = MMU_ON, .tcr = 28 | 2 << 14, .ttbr0 = 0x40000};

    set_desc(mem, 0x10000, 2, 0x20000 | TABLE);
    set_desc(mem, 0x20000, 1, 0x50000 | PAGE);
    maps(mem, &large, 0x40011234, 0x51234);
    set_desc(mem, 0x40000, 3, 0x48000 | TABLE);
    set_desc(mem, 0x48000, 2, 0x6c000 | PAGE);
    maps(mem, &medium, 0x600b123, 0x6f123);
}
END_TEST

START_TEST(a_half_that_is_off_or_makes_no_sense_maps_nothing)
{
    g_autoptr(GuestMemory) mem = new_ram();
    const Arm64Regime off = {.sctlr = MMU_ON, .tcr = 16 | 1 << 7, .ttbr0 = 0x1000};
    const Arm64Regime no_size = {.sctlr = MMU_ON, .tcr = 0, .ttbr0 = 0x1000};
    const Arm64Regime no_pages = {.sctlr = MMU_ON, .tcr = 16 | 3 << 14, .ttbr0 = 0x1000};

    set_desc(mem, 0x1000, 0, 0x40000000 | BLOCK);
    maps_not(mem, &off, 0x1000);
    maps_not(mem, &no_size, 0x1000);
    maps_not(mem, &no_pages, 0x1000);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("debug_arm64");

    tcase_add_test(tc, points_become_breakpoint_and_watchpoint_registers);
    tcase_add_test(tc, what_the_processor_cannot_watch_is_refused);
    tcase_add_test(tc, an_exit_is_told_apart);
    tcase_add_test(tc, the_guests_own_exception_goes_to_its_vector);
    tcase_add_test(tc, without_an_mmu_addresses_are_physical);
    tcase_add_test(tc, pages_and_blocks_of_4_kib_tables_are_found);
    tcase_add_test(tc, tags_are_not_part_of_the_address);
    tcase_add_test(tc, larger_pages_are_found);
    tcase_add_test(tc, a_half_that_is_off_or_makes_no_sense_maps_nothing);
    return suite_run("debug_arm64", tc);
}
