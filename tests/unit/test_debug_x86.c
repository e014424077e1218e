/* SPDX-License-Identifier: Apache-2.0 */
/* What a debugger asks for in the words of x86 and KVM, and what KVM says in ours. */
#include "hypervisor/x86/debug.h"

#include "tests/unit/suite.h"
#include "util/bytes.h"

static size_t index_of(const char *name)
{
    size_t i = 0;

    while (strcmp(debug_target.registers[i].name, name) != 0) {
        i++;
        ck_assert_uint_lt(i, debug_target.num_registers);
    }
    return i;
}

static uint8_t *in_block(uint8_t *block, const char *name)
{
    return block + debug_register_offset(&debug_target, index_of(name));
}

static uint8_t *new_block(void)
{
    return g_malloc0(debug_register_offset(&debug_target, debug_target.num_registers));
}

START_TEST(nothing_asked_for_is_nothing_told)
{
    const DebugSettings settings = {.mask = true};
    struct kvm_guest_debug debug;

    x86_debug_encode(&settings, &debug);
    ck_assert_uint_eq(debug.control, 0);
    ck_assert_uint_eq(debug.arch.debugreg[7], 0);
}
END_TEST

START_TEST(points_become_debug_registers)
{
    const DebugSettings settings = {
        .num_points = 3,
        .points = {{DEBUG_POINT_EXECUTE, 0xffffffff81000000, 1},
                   {DEBUG_POINT_WRITE, 0x1000, 8},
                   {DEBUG_POINT_ACCESS, 0x2004, 4}},
    };
    struct kvm_guest_debug debug;

    x86_debug_encode(&settings, &debug);
    ck_assert_uint_eq(debug.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
    ck_assert_uint_eq(debug.arch.debugreg[0], 0xffffffff81000000);
    ck_assert_uint_eq(debug.arch.debugreg[1], 0x1000);
    ck_assert_uint_eq(debug.arch.debugreg[2], 0x2004);
    /* By point: G, then R/W and LEN: 00 00, 01 10, 11 11. */
    ck_assert_uint_eq(debug.arch.debugreg[7], 0x600 | 0x2a | 0x9 << 20 | 0xf << 24);
}
END_TEST

START_TEST(steps_and_breakpoint_instructions_are_asked_for)
{
    const DebugSettings settings = {.software = true, .step = true, .mask = true};
    struct kvm_guest_debug debug;

    x86_debug_encode(&settings, &debug);
    ck_assert_uint_eq(debug.control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |
                                         KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_BLOCKIRQ);
}
END_TEST

START_TEST(what_the_processor_cannot_watch_is_refused)
{
    static const DebugPoint bad[] = {
        {DEBUG_POINT_READ, 0x1000, 4},  {DEBUG_POINT_WRITE, 0x1000, 0},
        {DEBUG_POINT_WRITE, 0x1000, 3}, {DEBUG_POINT_WRITE, 0x1004, 8},
        {DEBUG_POINT_WRITE, 0, 16},     {DEBUG_POINT_WRITE, 0, UINT64_MAX},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        const DebugSettings settings = {.num_points = 1, .points = {bad[i]}};
        g_autoptr(GError) error = NULL;

        ck_assert(!kvm_debug_ops.check(NULL, &settings, &error));
        ck_assert_ptr_nonnull(error);
    }
}
END_TEST

START_TEST(the_processor_watches_four_addresses)
{
    DebugSettings settings = {.num_points = 4};

    for (unsigned i = 0; i < 5; i++) {
        settings.points[i] = (DebugPoint){DEBUG_POINT_EXECUTE, i, 1};
    }
    ck_assert(kvm_debug_ops.check(NULL, &settings, NULL));
    settings.num_points = 5;
    ck_assert(!kvm_debug_ops.check(NULL, &settings, NULL));
}
END_TEST

static DebugStop decode(const DebugSettings *settings, uint32_t exception, uint64_t dr6)
{
    const struct kvm_debug_exit_arch exit = {.exception = exception, .pc = 0x100, .dr6 = dr6};
    DebugStop stop;

    x86_debug_decode(settings, &exit, &stop);
    return stop;
}

START_TEST(an_exit_is_told_apart)
{
    const DebugSettings idle = {0};
    const DebugSettings stepping = {.step = true};
    const DebugSettings watching = {
        .step = true,
        .num_points = 2,
        .points = {{DEBUG_POINT_EXECUTE, 0x100, 1}, {DEBUG_POINT_WRITE, 0x2000, 8}},
    };
    DebugStop stop;

    ck_assert_int_eq(decode(&idle, 3, 0).kind, DEBUG_STOP_SOFTWARE);
    ck_assert_uint_eq(decode(&idle, 3, 0).address, 0x100);
    ck_assert_int_eq(decode(&stepping, 1, 0xffff4ff0).kind, DEBUG_STOP_STEP);
    /* The guest steps itself, or has a breakpoint of its own. */
    ck_assert_int_eq(decode(&idle, 1, 0xffff4ff0).kind, DEBUG_STOP_NONE);
    ck_assert_int_eq(decode(&stepping, 1, 0xffff0ff1).kind, DEBUG_STOP_NONE);

    stop = decode(&watching, 1, 0xffff4ff2);
    ck_assert_int_eq(stop.kind, DEBUG_STOP_POINT);
    ck_assert_int_eq(stop.point, DEBUG_POINT_WRITE);
    ck_assert_uint_eq(stop.address, 0x2000);
    ck_assert_int_eq(decode(&watching, 1, 0xffff4ff1).kind, DEBUG_STOP_STEP);
}
END_TEST

START_TEST(registers_are_where_gdb_looks_for_them)
{
    X86DebugState state = {
        .regs = {.rax = 1, .rip = 0xffffffff81000000, .rflags = 0x246},
        .sregs = {.cs = {.selector = 0x10}, .cr3 = 0x109000, .gs = {.base = 77}},
        .fpu = {.fcw = 0x37f, .ftwx = 0x81, .mxcsr = 0x1f80},
        .kernel_gs_base = 88,
    };
    g_autofree uint8_t *block = new_block();

    state.fpu.xmm[15][0] = 0xab;
    x86_debug_state_to_block(&state, block);
    ck_assert_uint_eq(load_le64(block), 1);
    ck_assert_uint_eq(load_le64(in_block(block, "rip")), 0xffffffff81000000);
    ck_assert_uint_eq(load_le32(in_block(block, "eflags")), 0x246);
    ck_assert_uint_eq(load_le32(in_block(block, "cs")), 0x10);
    ck_assert_uint_eq(load_le32(in_block(block, "ftag")), 0x3ffc);
    ck_assert_uint_eq(in_block(block, "xmm15")[0], 0xab);
    ck_assert_uint_eq(load_le64(in_block(block, "gs_base")), 77);
    ck_assert_uint_eq(load_le64(in_block(block, "k_gs_base")), 88);
    ck_assert_uint_eq(load_le64(in_block(block, "cr3")), 0x109000);
}
END_TEST

/* The offsets are those of QEMU's struct QEMUCPUState. */
START_TEST(the_note_for_core_files_is_as_qemu_lays_it_out)
{
    const X86DebugState state = {
        .regs = {.rax = 1, .rbp = 8, .rip = 0xffffffff81000000, .rflags = 0x246},
        .sregs = {.cs = {.selector = 0x10,
                         .limit = 0xffffffff,
                         .type = 11,
                         .present = 1,
                         .dpl = 0,
                         .s = 1,
                         .l = 1,
                         .g = 1},
                  .tr = {.base = 0xfffffe0000003000},
                  .gdt = {.limit = 0x7f},
                  .idt = {.base = 0xfffffe0000000000, .limit = 0xfff},
                  .cr0 = 0x80050033,
                  .cr3 = 0x109000,
                  .cr4 = 0x6f0},
        .kernel_gs_base = 88,
    };
    g_autoptr(GByteArray) note = g_byte_array_new();

    x86_core_note_encode(&state, note);
    ck_assert_uint_eq(note->len, 440);
    ck_assert_uint_eq(load_le32(note->data), 1);
    ck_assert_uint_eq(load_le32(note->data + 4), 440);
    ck_assert_uint_eq(load_le64(note->data + 8), 1);
    ck_assert_uint_eq(load_le64(note->data + 64), 8);
    ck_assert_uint_eq(load_le64(note->data + 136), 0xffffffff81000000);
    ck_assert_uint_eq(load_le64(note->data + 144), 0x246);
    ck_assert_uint_eq(load_le32(note->data + 152), 0x10);
    ck_assert_uint_eq(load_le32(note->data + 156), 0xffffffff);
    ck_assert_uint_eq(load_le32(note->data + 160), 0xa09b00);
    ck_assert_uint_eq(load_le64(note->data + 320 + 16), 0xfffffe0000003000);
    ck_assert_uint_eq(load_le32(note->data + 344 + 4), 0x7f);
    ck_assert_uint_eq(load_le32(note->data + 368 + 4), 0xfff);
    ck_assert_uint_eq(load_le64(note->data + 368 + 16), 0xfffffe0000000000);
    ck_assert_uint_eq(load_le64(note->data + 392), 0x80050033);
    ck_assert_uint_eq(load_le64(note->data + 416), 0x109000);
    ck_assert_uint_eq(load_le64(note->data + 424), 0x6f0);
    ck_assert_uint_eq(load_le64(note->data + 432), 88);
}
END_TEST

START_TEST(what_is_written_reaches_its_register_and_no_selector)
{
    X86DebugState state = {.sregs = {.cs = {.selector = 0x10}}};
    g_autofree uint8_t *block = new_block();

    x86_debug_state_to_block(&state, block);
    store_le64(in_block(block, "r15"), 5);
    store_le32(in_block(block, "cs"), 0x33);
    store_le32(in_block(block, "fctrl"), 0x27f);
    store_le32(in_block(block, "ftag"), 0xfffc);
    in_block(block, "st7")[9] = 0x3f;
    store_le64(in_block(block, "efer"), 0x500);
    x86_debug_state_from_block(&state, block);
    ck_assert_uint_eq(state.regs.r15, 5);
    ck_assert_uint_eq(state.sregs.cs.selector, 0x10);
    ck_assert_uint_eq(state.fpu.fcw, 0x27f);
    ck_assert_uint_eq(state.fpu.ftwx, 1);
    ck_assert_uint_eq(state.fpu.fpr[7][9], 0x3f);
    ck_assert_uint_eq(state.sregs.efer, 0x500);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("debug_x86");

    tcase_add_test(tc, nothing_asked_for_is_nothing_told);
    tcase_add_test(tc, points_become_debug_registers);
    tcase_add_test(tc, steps_and_breakpoint_instructions_are_asked_for);
    tcase_add_test(tc, what_the_processor_cannot_watch_is_refused);
    tcase_add_test(tc, the_processor_watches_four_addresses);
    tcase_add_test(tc, an_exit_is_told_apart);
    tcase_add_test(tc, registers_are_where_gdb_looks_for_them);
    tcase_add_test(tc, the_note_for_core_files_is_as_qemu_lays_it_out);
    tcase_add_test(tc, what_is_written_reaches_its_register_and_no_selector);
    return suite_run("debug_x86", tc);
}
