/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x86 vCPUs in real KVM, saved in one VM and loaded in another.  Skipped, with status 77 and the
 * reason, where KVM cannot be had.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/x86/msr.h"
#include "hypervisor/x86/vcpu_vmstate.h"
#include "tests/support/kvm_bench.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"

#include <json-c/json.h>
#include <linux/kvm.h>
#include <string.h>

#define TIMER_VECTOR  0x40
#define TIMER_HANDLER (KVM_BENCH_CODE + 0x80)
#define TIMER_DELTA   0x4000 /* in RAM: how many cycles ahead the program sets its deadline */
#define TIMER_READY   0x600d
#define TIMER_FIRED   0xf12e
#define FIRST_COUNT   0x11111111

/* Says 0x11111111, 0x11111113, ... */
static const uint8_t counting[] = {
    0xb8, 0x11, 0x11, 0x11, 0x11, /* mov $0x11111111, %eax */
    0xbb, 0x02, 0x00, 0x00, 0x00, /* mov $2, %ebx */
    0xe7, 0x10,                   /* 1: out %eax, $0x10 */
    0x01, 0xd8,                   /* add %ebx, %eax */
    0xeb, 0xfa,                   /* jmp 1b */
};

/* Sets a TSC deadline, says that it is ready, and then lets interrupts in. */
static const uint8_t deadline[] = {
    0x0f,          0x01, 0x1d, 0xa0, 0x10, 0x00, 0x00, /* lidt 0x10a0 */
    0xc7,          0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff,
    0x01,          0x00, 0x00, /* APIC on */
    0xc7,          0x05, 0x20, 0x03, 0xe0, 0xfe, 0x40,
    0x00,          0x04, 0x00,                   /* deadline mode, vector 0x40 */
    0x0f,          0x31,                         /* rdtsc */
    0x03,          0x05, 0x00, 0x40, 0x00, 0x00, /* add 0x4000, %eax */
    0x83,          0xd2, 0x00,                   /* adc $0, %edx */
    0xb9,          0xe0, 0x06, 0x00, 0x00,       /* mov $0x6e0, %ecx */
    0x0f,          0x30,                         /* wrmsr */
    0xb8,          0x0d, 0x60, 0x00, 0x00,       /* mov $0x600d, %eax */
    0xe7,          0x10,                         /* out %eax, $0x10 */
    0xfb,          0xf4, 0xfa, 0xeb, 0xfb,       /* 1: sti; hlt; cli; jmp 1b */
    [0x80] = 0xb8, 0x2e, 0xf1, 0x00, 0x00,       /* mov $0xf12e, %eax */
    0xe7,          0x10,                         /* out %eax, $0x10 */
    0xc7,          0x05, 0xb0, 0x00, 0xe0, 0xfe, 0x00,
    0x00,          0x00, 0x00,                   /* end of interrupt */
    0xcf,                                        /* iret */
    [0xa0] = 0x07, 0x02, 0x00, 0x20, 0x00, 0x00, /* IDT: 0x208 bytes at 0x2000 */
};

static void boot_counting(KvmBench *b)
{
    kvm_bench_boot(b, counting, sizeof(counting));
    ck_assert_uint_eq(kvm_bench_run(b), FIRST_COUNT);
}

/* What may differ from one save to the next: time, and the proof of a table that a test changed. */
static void mask_moving(VcpuState *state)
{
    state->tsc.value = state->tsc.offset = 0;
    state->cpuid_proof = 0;
}

static char **lines_of(VcpuState *state)
{
    g_autoptr(GByteArray) wire = kvm_bench_wire(state);
    json_object *dump = vmstate_dump(wire->data, wire->len, NULL);
    char **lines =
        g_strsplit(json_object_to_json_string_ext(dump, JSON_C_TO_STRING_PRETTY), "\n", -1);

    json_object_put(dump);
    return lines;
}

static void check_same(VcpuState *a, VcpuState *b)
{
    mask_moving(a);
    mask_moving(b);

    g_auto(GStrv) first = lines_of(a);
    g_auto(GStrv) second = lines_of(b);

    ck_assert_uint_eq(g_strv_length(first), g_strv_length(second));
    for (size_t i = 0; first[i]; i++) {
        size_t same = 0;

        while (first[i][same] && first[i][same] == second[i][same]) {
            same++;
        }
        ck_assert_msg(first[i][same] == second[i][same], "%.60s: at %zu '%.40s', expected '%.40s'",
                      first[i], same, second[i] + same, first[i] + same);
    }
}

START_TEST(a_guest_goes_on_where_it_was_saved)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    boot_counting(a);
    kvm_bench_save(a, &state);
    kvm_bench_load(b, a, &state, CLOCK_FREEZE);
    ck_assert_uint_eq(kvm_bench_run(b), FIRST_COUNT + 2);
    ck_assert_uint_eq(kvm_bench_run(b), FIRST_COUNT + 4);
    ck_assert_uint_eq(kvm_bench_run(a), FIRST_COUNT + 2);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

START_TEST(what_was_loaded_is_saved_again)
{
    KvmBench *a = kvm_bench_new(2, NULL, 0);
    KvmBench *b = kvm_bench_new(2, NULL, 0);
    KvmBenchState first = {0}, second = {0};

    boot_counting(a);
    kvm_bench_save(a, &first);
    ck_assert_uint_eq(first.vcpu[0]->mp_state, KVM_MP_STATE_RUNNABLE);
    ck_assert_uint_eq(first.vcpu[1]->mp_state, KVM_MP_STATE_UNINITIALIZED);
    kvm_bench_load(b, a, &first, CLOCK_FREEZE);
    kvm_bench_save(b, &second);
    for (unsigned i = 0; i < 2; i++) {
        check_same(first.vcpu[i], second.vcpu[i]);
    }
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

typedef struct Value {
    uint32_t index;
    uint64_t value;
} Value;

static void set_value(VcpuState *state, const Value *v)
{
    for (uint32_t i = 0; i < state->num_msr_indexes; i++) {
        if (state->msr_index[i] == v->index) {
            state->msr_value[i] = v->value;
            return;
        }
    }
    ck_abort_msg("0x%x is not saved here", v->index);
}

static void check_deadline(uint32_t cycles, uint64_t later)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    kvm_bench_set_gate(a, TIMER_VECTOR, TIMER_HANDLER);
    store_le32(a->ram + TIMER_DELTA, cycles);
    kvm_bench_boot(a, deadline, sizeof(deadline));
    ck_assert_uint_eq(kvm_bench_run(a), TIMER_READY);
    kvm_bench_save(a, &state);
    state.vcpu[0]->tsc.offset += later;
    state.vcpu[0]->tsc.value += later;
    if (msr_value(state.vcpu[0], MSR_TSC_DEADLINE) != 0) {
        const Value v = {MSR_TSC_DEADLINE, msr_value(state.vcpu[0], MSR_TSC_DEADLINE) + later};

        set_value(state.vcpu[0], &v);
    }
    kvm_bench_load(b, a, &state, CLOCK_CATCH_UP);
    ck_assert_uint_eq(kvm_bench_run(b), TIMER_FIRED);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
    kvm_bench_free(b);
}

START_TEST(a_deadline_before_the_save_fires_after_the_load)
{
    check_deadline(0, 0);
}
END_TEST

START_TEST(a_deadline_near_the_save_fires_after_the_load)
{
    check_deadline(200000u << (unsigned)_i, 0);
}
END_TEST

/* Or where KVM leaves TSCs as they are, this guest's timer would end in hours. */
START_TEST(a_deadline_from_a_host_that_was_up_longer_fires)
{
    check_deadline(100u * 1000 * 1000, UINT64_C(1) << 46);
}
END_TEST

/* --- every register --- */

static const Value values[] = {
    {0x3b, 0x1234},
    {0x174, 0x10},
    {0x175, 0x80001000}, /* 32 bits, which is all that AMD's processors have of it */
    {0x176, 0x80002000},
    {0xc0000081, 0x0023001000000000},
    {0xc0000082, 0xffffffff81000000},
    {0xc0000084, 0x47700},
    {0xc0000102, 0xffff888000001000},
    {0x277, 0x0007010600070106},
    {0x200, 0x80000006},
    {0x201, 0xff80000800}, /* of 40 address bits, which every host has */
    {0x250, 0x0606060606060606},
    {0x2ff, 0xc06},
    {0x400, UINT64_MAX},
    {0x4b564d05, 0},
};

/* CPUID tells the size of what XCR0 enables, and KVM keeps that up to date. */
static void set_xcr0(VcpuState *state, uint64_t value, uint32_t bytes)
{
    state->control.xcr0 = value;
    for (uint32_t i = 0; i < state->num_cpuid; i += X86_CPUID_WORDS) {
        if (state->cpuid[i] == 0xd && state->cpuid[i + 1] <= 1 && state->cpuid[i + 4] != 0) {
            state->cpuid[i + 4] = bytes;
        }
    }
}

/* A state in which nothing is as at power-on. */
static void scramble(VcpuState *state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        set_value(state, &values[i]);
    }
    state->regs = (X86Regs){1,  2,  3,  4,  5,  6,  KVM_BENCH_STACK, 8,    9, 10,
                            11, 12, 13, 14, 15, 16, KVM_BENCH_CODE,  0x246};
    state->control.cr2 = 0xdead000;
    state->control.cr8 = 2; /* the task priority, from another side */
    state->control.gdt_base = 0x123000;
    state->control.fs.base = 0x456000;
    state->debug = (X86Debug){{0x1000, 0x2000, 0x3000, 0x4000}, 0xffff4ff0, 0x455};
    store_le64(state->xsave + 512, 3);
    for (unsigned i = 0; i < 128; i++) {
        state->xsave[32 + i] = (uint8_t)(i % 16 < 10 ? i : 0); /* x87: 80 of 128 bits each */
    }
    for (unsigned i = 0; i < 256; i++) {
        state->xsave[160 + i] = (uint8_t)(i ^ 0x5a); /* XMM */
    }
    if (vcpu_state_has_feature(state, "avx")) {
        set_xcr0(state, 7, 832);
        store_le64(state->xsave + 512, 7);
        memset(state->xsave + 576, 0xa5, 256); /* upper halves of YMM */
    }
    store_le16(state->xsave, 0x27f);
    store_le32(state->xsave + 24, 0x1fa0);
    store_le32(state->lapic + 0x80, 0x20);               /* task priority */
    store_le32(state->lapic + 0xa0, 0x20);               /* and what follows from it */
    store_le32(state->lapic + 0xf0, 0x1ff);              /* on */
    store_le32(state->lapic + 0x200 + 0x10 * 2, 1 << 5); /* pending: vector 0x45 */
    store_le32(state->lapic + 0x350, 0x10000 | 0x31);
}

START_TEST(every_register_survives)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState first = {0}, second = {0};

    boot_counting(a);
    kvm_bench_save(a, &first);
    scramble(first.vcpu[0]);
    kvm_bench_load(b, a, &first, CLOCK_FREEZE);
    kvm_bench_save(b, &second);
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        ck_assert_uint_eq(msr_value(second.vcpu[0], values[i].index), values[i].value);
    }
    check_same(first.vcpu[0], second.vcpu[0]);
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

START_TEST(a_vcpu_goes_back_to_where_it_was)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState calm = {0}, wild = {0}, again = {0};

    boot_counting(a);
    kvm_bench_save(a, &calm);
    kvm_bench_save(a, &wild);
    scramble(wild.vcpu[0]);
    ck_assert_uint_eq(kvm_bench_run(a), FIRST_COUNT + 2);
    kvm_bench_load(a, a, &wild, CLOCK_FREEZE);
    kvm_bench_load(a, a, &calm, CLOCK_FREEZE);
    kvm_bench_save(a, &again);
    check_same(calm.vcpu[0], again.vcpu[0]);
    ck_assert_uint_eq(kvm_bench_run(a), FIRST_COUNT + 2);
    kvm_bench_state_clear(&calm);
    kvm_bench_state_clear(&wild);
    kvm_bench_state_clear(&again);
    kvm_bench_free(a);
}
END_TEST

/*
 * Sent when the vCPUs were stopped already, so that KVM has not acted on it yet: setting the events
 * takes it back.
 */
START_TEST(an_init_that_is_under_way_does_not_outlive_going_back)
{
    static const MsiMessage init = {.address = 0xfee00000, .data = 0x4500};
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    boot_counting(a);
    kvm_bench_save(a, &state);
    ck_assert(hypervisor_signal_msi(a->hv, &init, NULL));
    kvm_bench_load(a, a, &state, CLOCK_FREEZE);
    ck_assert_uint_eq(kvm_bench_run(a), FIRST_COUNT + 2);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
}
END_TEST

/* --- what is on its way --- */

static void pend_fault(VcpuState *state)
{
    state->events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    state->events.exception.pending = true;
    state->events.exception.nr = 14;
    state->events.exception.has_error_code = true;
    state->events.exception.error_code = 6;
    state->events.exception_has_payload = true;
    state->events.exception_payload = state->exception_payload = 0xfa000;
}

static void inject_fault(VcpuState *state)
{
    state->events.exception.injected = true;
    state->events.exception.nr = 13;
    state->events.exception.has_error_code = true;
    state->events.exception.error_code = 0x18;
}

static void pend_interrupt(VcpuState *state)
{
    state->events.interrupt.injected = true;
    state->events.interrupt.nr = 0x77;
}

static void mask_nmi(VcpuState *state)
{
    state->events.nmi.masked = true;
    state->events.nmi.pending = 1;
}

static void wait_for_sipi(VcpuState *state)
{
    state->mp_state = KVM_MP_STATE_INIT_RECEIVED;
}

static void halt(VcpuState *state)
{
    state->mp_state = KVM_MP_STATE_HALTED;
}

static void (*const pending[])(VcpuState *) = {
    pend_fault, inject_fault, pend_interrupt, mask_nmi, wait_for_sipi, halt,
};

START_TEST(what_is_pending_stays_pending)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState first = {0}, second = {0};

    boot_counting(a);
    kvm_bench_save(a, &first);
    pending[_i](first.vcpu[0]);
    kvm_bench_load(b, a, &first, CLOCK_FREEZE);
    kvm_bench_save(b, &second);
    check_same(first.vcpu[0], second.vcpu[0]);
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

/* --- what KVM does not take --- */

static const struct {
    Value value;
    const char *message;
} refused[] = {
    {{0x2ff, 0x807}, "vCPU 0: MSR 0x2ff (MTRR default type): KVM refuses 0x807"},
    {{0xc0000082, 0x8000000000000000},
     "vCPU 0: MSR 0xc0000082 (SYSCALL): KVM refuses 0x8000000000000000"},
};

START_TEST(an_msr_that_kvm_refuses_is_named)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    boot_counting(a);
    kvm_bench_save(a, &state);
    set_value(state.vcpu[0], &refused[_i].value);

    g_autofree char *why = kvm_bench_try_load(a, &state, CLOCK_FREEZE);

    ck_assert_str_eq(why, refused[_i].message);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
}
END_TEST

/* Nothing here checks these; KVM does, and says so. */
static void break_control(VcpuState *state)
{
    state->control.cr0 = 0x80000000;
}

static void break_xcr0(VcpuState *state)
{
    state->control.xcr0 = 5;
}

static void break_debug(VcpuState *state)
{
    state->debug.dr7 = UINT64_MAX;
}

static void lose_processor(VcpuState *state)
{
    state->present = false;
}

static const struct {
    void (*break_it)(VcpuState *state);
    const char *message;
} broken[] = {
    {break_control, "vCPU 0: KVM_SET_SREGS"},
    {break_xcr0, "vCPU 0: KVM_SET_XCRS"},
    {break_debug, "vCPU 0: KVM_SET_DEBUGREGS"},
    {lose_processor, "vCPU 0: it was saved without a processor"},
};

START_TEST(what_kvm_refuses_is_an_error)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    boot_counting(a);
    kvm_bench_save(a, &state);
    broken[_i].break_it(state.vcpu[0]);

    g_autofree char *why = kvm_bench_try_load(a, &state, CLOCK_FREEZE);

    ck_assert_msg(why && g_str_has_prefix(why, broken[_i].message), "%s", why ? why : "taken");
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
}
END_TEST

START_TEST(a_larger_xsave_area_is_taken_if_the_rest_is_unused)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};
    VcpuState *vcpu;

    boot_counting(a);
    kvm_bench_save(a, &state);
    vcpu = state.vcpu[0];
    vcpu->xsave = g_realloc(vcpu->xsave, vcpu->xsave_bytes + 8192);
    memset(vcpu->xsave + vcpu->xsave_bytes, 0, 8192);
    vcpu->xsave_bytes += 8192;

    g_autofree char *why = kvm_bench_try_load(a, &state, CLOCK_FREEZE);

    ck_assert_msg(!why, "%s", why);
    ck_assert_uint_eq(kvm_bench_run(a), FIRST_COUNT + 2);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
}
END_TEST

/* --- what the guest saw and is not here --- */

/* Every bit of one register, which no processor has; and another vendor. */
static void invent(VcpuState *state)
{
    for (uint32_t i = 0; i < state->num_cpuid; i += X86_CPUID_WORDS) {
        uint32_t *words = &state->cpuid[i];

        if (words[0] == 0) {
            memcpy(&words[4], "InveCPU nted", 12);
        } else if (words[0] == 7 && words[1] == 0) {
            words[4] = UINT32_MAX;
        }
    }
}

START_TEST(a_table_of_the_same_model_is_proved_and_a_changed_one_is_not)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    const Vcpu *other = vcpus_get(b->vcpus, 0);
    KvmBenchState state = {0};
    VcpuState *saved;

    boot_counting(a);
    boot_counting(b);
    kvm_bench_save(a, &state);
    saved = state.vcpu[0];
    ck_assert_uint_ne(saved->cpuid_proof, 0);
    ck_assert_uint_eq(saved->cpuid_proof, vcpu_cpuid_proof(other, saved));
    invent(saved);
    ck_assert_uint_ne(saved->cpuid_proof, vcpu_cpuid_proof(other, saved));
    kvm_bench_state_clear(&state);
    kvm_bench_free(b);
    kvm_bench_free(a);
}
END_TEST

START_TEST(what_the_guest_saw_and_is_not_here_is_listed)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    boot_counting(a);
    kvm_bench_save(a, &state);
    invent(state.vcpu[0]);

    g_autofree char *why = kvm_bench_try_load(a, &state, CLOCK_FREEZE);

    ck_assert_ptr_nonnull(why);
    ck_assert_msg(strstr(why, "CPU vendor: InventedCPU?, here "), "%s", why);
    ck_assert_msg(strstr(why, "CPU feature 'avx512pf': not here\n"), "%s", why);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vcpu_state");

    kvm_bench_require();
    tcase_add_test(tc, a_guest_goes_on_where_it_was_saved);
    tcase_add_test(tc, what_was_loaded_is_saved_again);
    tcase_add_test(tc, a_deadline_before_the_save_fires_after_the_load);
    tcase_add_loop_test(tc, a_deadline_near_the_save_fires_after_the_load, 0, 10);
    tcase_add_test(tc, every_register_survives);
    tcase_add_test(tc, a_vcpu_goes_back_to_where_it_was);
    tcase_add_test(tc, an_init_that_is_under_way_does_not_outlive_going_back);
    tcase_add_loop_test(tc, what_is_pending_stays_pending, 0, (int)G_N_ELEMENTS(pending));
    tcase_add_test(tc, a_deadline_from_a_host_that_was_up_longer_fires);
    tcase_add_loop_test(tc, an_msr_that_kvm_refuses_is_named, 0, (int)G_N_ELEMENTS(refused));
    tcase_add_loop_test(tc, what_kvm_refuses_is_an_error, 0, (int)G_N_ELEMENTS(broken));
    tcase_add_test(tc, a_larger_xsave_area_is_taken_if_the_rest_is_unused);
    tcase_add_test(tc, a_table_of_the_same_model_is_proved_and_a_changed_one_is_not);
    tcase_add_test(tc, what_the_guest_saw_and_is_not_here_is_listed);
    return suite_run("vcpu_state", tc);
}
