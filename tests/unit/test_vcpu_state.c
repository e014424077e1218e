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

/* What may differ from one save to the next: time, and what passes with it. */
static void mask_time(VcpuState *state)
{
    state->tsc.value = state->tsc.offset = 0;
}

static void check_same(VcpuState *a, VcpuState *b)
{
    mask_time(a);
    mask_time(b);

    g_autoptr(GByteArray) first = kvm_bench_wire(a);
    g_autoptr(GByteArray) second = kvm_bench_wire(b);

    ck_assert_uint_eq(first->len, second->len);
    ck_assert_mem_eq(first->data, second->data, first->len);
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

static void check_deadline(uint32_t cycles)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    kvm_bench_set_gate(a, TIMER_VECTOR, TIMER_HANDLER);
    store_le32(a->ram + TIMER_DELTA, cycles);
    kvm_bench_boot(a, deadline, sizeof(deadline));
    ck_assert_uint_eq(kvm_bench_run(a), TIMER_READY);
    kvm_bench_save(a, &state);
    kvm_bench_load(b, a, &state, CLOCK_CATCH_UP);
    ck_assert_uint_eq(kvm_bench_run(b), TIMER_FIRED);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
    kvm_bench_free(b);
}

START_TEST(a_deadline_before_the_save_fires_after_the_load)
{
    check_deadline(0);
}
END_TEST

START_TEST(a_deadline_near_the_save_fires_after_the_load)
{
    check_deadline(200000u << (unsigned)_i);
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
    return suite_run("vcpu_state", tc);
}
