/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time of an x86 VM in real KVM: clock and TSCs, saved in one VM and loaded in another.
 * Skipped, with status 77 and the reason, where KVM cannot be had.
 */
#include "hypervisor/vm_state.h"

#include "hypervisor/kvm.h"
#include "hypervisor/x86/msr.h"
#include "hypervisor/x86/vcpu_vmstate.h"
#include "tests/support/kvm_bench.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <json-c/json.h>
#include <linux/kvm.h>
#include <string.h>

#define NS_PER_S        INT64_C(1000000000)
#define HOUR_NS         (3600 * NS_PER_S)
#define MINUTE_NS       (60 * NS_PER_S)
#define TOLERANCE_NS    100000 /* between clock and TSC, after an hour: rounding to whole kHz */
#define PVCLOCK         0x5000u
#define PVCLOCK_FLAGS   (PVCLOCK + 29)
#define PVCLOCK_STOPPED 2

/* Turns the paravirtual clock on, and says its version now and then. */
static const uint8_t clock_user[] = {
    0xb9, 0x01, 0x4d, 0x56, 0x4b, /* mov $0x4b564d01, %ecx */
    0xb8, 0x01, 0x50, 0x00, 0x00, /* mov $0x5001, %eax */
    0x31, 0xd2,                   /* xor %edx, %edx */
    0x0f, 0x30,                   /* wrmsr */
    0xa1, 0x00, 0x50, 0x00, 0x00, /* 1: mov 0x5000, %eax */
    0xe7, 0x10,                   /* out %eax, $0x10 */
    0xeb, 0xf7,                   /* jmp 1b */
};

static GByteArray *wire_of(VmState *state)
{
    GByteArray *wire = g_byte_array_new();

    ck_assert(vmstate_save(&vm_state_vmstate, state, wire, NULL));
    return wire;
}

/* One number of a saved clock, from outside; the wire is as vmstate.h says. */
static uint8_t *number_in(GByteArray *wire, const char *name)
{
    uint8_t *found = memmem(wire->data, wire->len, name, strlen(name));

    ck_assert(found != NULL);
    return found + strlen(name) + sizeof(uint32_t);
}

static uint64_t number_of(VmState *state, const char *name)
{
    g_autoptr(GByteArray) wire = wire_of(state);

    return load_le64(number_in(wire, name));
}

static void set_number(VmState *state, const char *name, uint64_t value)
{
    g_autoptr(GByteArray) wire = wire_of(state);

    store_le64(number_in(wire, name), value);
    ck_assert(vmstate_load(&vm_state_vmstate, state, wire->data, wire->len, NULL));
}

/* The guest's TSC at the instant of the saved clock, in ns. */
static int64_t tsc_ns(const KvmBenchState *state)
{
    const X86Tsc *tsc = &state->vcpu[0]->tsc;
    uint64_t cycles = number_of(state->vm, "host_tsc") + tsc->offset;

    return (int64_t)(cycles / tsc->khz * 1000000 + cycles % tsc->khz * 1000000 / tsc->khz);
}

static int64_t clock_ns(const KvmBenchState *state)
{
    return (int64_t)number_of(state->vm, "clock_ns");
}

static bool find_out(Vcpu *vcpu, void *opaque, GError **error)
{
    uint64_t *ret_tsc = opaque;

    return msr_set(vcpu, MSR_TSC, UINT64_C(1) << 60, error) &&
           msr_get(vcpu, MSR_TSC, ret_tsc, error);
}

/* There are KVMs whose guests read the host's TSC whatever is set. */
static bool moves_tsc(void)
{
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    uint64_t tsc = 0;

    ck_assert(vcpus_each(b->vcpus, find_out, &tsc, NULL));
    kvm_bench_free(b);
    return tsc >= UINT64_C(1) << 60;
}

/* Answers how much time has passed for the guest of a VM that was saved an hour ago. */
static int64_t passed(ClockPolicy policy)
{
    KvmBench *a = kvm_bench_new(2, NULL, 0);
    KvmBench *b = kvm_bench_new(2, NULL, 0);
    KvmBenchState first = {0}, second = {0};
    int64_t clock, tsc;

    kvm_bench_boot(a, clock_user, sizeof(clock_user));
    kvm_bench_run(a);
    kvm_bench_save(a, &first);
    set_number(first.vm, "realtime_ns", number_of(first.vm, "realtime_ns") - (uint64_t)HOUR_NS);
    kvm_bench_load(b, a, &first, policy);
    kvm_bench_run(b);
    kvm_bench_save(b, &second);
    clock = clock_ns(&second) - clock_ns(&first);
    tsc = tsc_ns(&second) - tsc_ns(&first);
    ck_assert(second.vcpu[0]->tsc.has_offset == first.vcpu[0]->tsc.has_offset);
    ck_assert_uint_eq(second.vcpu[0]->tsc.offset, second.vcpu[1]->tsc.offset);
    if (moves_tsc() && first.vcpu[0]->tsc.has_offset) {
        ck_assert_msg(ABS(clock - tsc) < TOLERANCE_NS, "the clock went on by %ld, the TSC by %ld",
                      (long)clock, (long)tsc);
    }
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
    kvm_bench_free(b);
    return clock;
}

START_TEST(a_clock_that_catches_up_knows_of_the_hour)
{
    int64_t ns = passed(CLOCK_CATCH_UP);

    ck_assert_int_ge(ns, HOUR_NS);
    ck_assert_int_lt(ns, HOUR_NS + MINUTE_NS);
}
END_TEST

START_TEST(a_frozen_clock_does_not)
{
    int64_t ns = passed(CLOCK_FREEZE);

    ck_assert_int_ge(ns, 0);
    ck_assert_int_lt(ns, MINUTE_NS);
}
END_TEST

START_TEST(a_host_whose_wall_clock_is_behind_goes_on_from_the_save)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState first = {0}, second = {0};

    kvm_bench_save(a, &first);
    set_number(first.vm, "realtime_ns", number_of(first.vm, "realtime_ns") + (uint64_t)HOUR_NS);
    kvm_bench_load(a, a, &first, CLOCK_CATCH_UP);
    kvm_bench_save(a, &second);
    ck_assert_int_ge(clock_ns(&second), clock_ns(&first));
    ck_assert_int_lt(clock_ns(&second), clock_ns(&first) + MINUTE_NS);
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
}
END_TEST

/* Where KVM does not tell the offset, the value serves, and KVM itself makes offsets equal. */
START_TEST(a_tsc_without_an_offset_goes_on_by_value)
{
    KvmBench *a = kvm_bench_new(2, NULL, 0);
    KvmBench *b = kvm_bench_new(2, NULL, 0);
    KvmBenchState first = {0}, second = {0};
    int64_t ms;

    kvm_bench_save(a, &first);
    for (unsigned i = 0; i < 2; i++) {
        first.vcpu[i]->tsc.has_offset = false;
        first.vcpu[i]->tsc.value += UINT64_C(1) << 50;
    }
    kvm_bench_load(b, a, &first, CLOCK_FREEZE);
    kvm_bench_save(b, &second);
    ms = (int64_t)(second.vcpu[0]->tsc.value - first.vcpu[0]->tsc.value) / second.vcpu[0]->tsc.khz;
    if (moves_tsc()) {
        ck_assert_int_ge(ms, 0);
        ck_assert_int_lt(ms, MINUTE_NS / 1000000);
    }
    ck_assert_uint_eq(second.vcpu[0]->tsc.offset, second.vcpu[1]->tsc.offset);
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

START_TEST(a_guest_learns_that_it_stood_still)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    kvm_bench_boot(a, clock_user, sizeof(clock_user));
    kvm_bench_run(a);
    ck_assert_uint_eq(kvm_bench_run(a) % 2, 0);
    ck_assert(!(a->ram[PVCLOCK_FLAGS] & PVCLOCK_STOPPED));
    kvm_bench_save(a, &state);
    ck_assert_uint_eq(msr_value(state.vcpu[0], MSR_KVM_SYSTEM_TIME), PVCLOCK | 1);
    kvm_bench_load(b, a, &state, CLOCK_CATCH_UP);
    kvm_bench_run(b);
    kvm_bench_run(b);
    ck_assert(b->ram[PVCLOCK_FLAGS] & PVCLOCK_STOPPED);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

START_TEST(another_frequency_is_scaled_or_refused_with_both)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState first = {0}, second = {0};
    uint32_t here, wanted;

    kvm_bench_save(a, &first);
    here = first.vcpu[0]->tsc.khz;
    wanted = here / 10 * 9;
    first.vcpu[0]->tsc.khz = wanted;

    g_autofree char *why = kvm_bench_try_load(b, &first, CLOCK_FREEZE);

    if (why) {
        g_autofree char *expected = g_strdup_printf(
            "vCPU 0: the guest's TSC runs at %u kHz, this host's at %u kHz, and this host cannot "
            "scale it: ",
            wanted, here);

        ck_assert_msg(g_str_has_prefix(why, expected), "%s", why);
    } else {
        kvm_bench_save(b, &second);
        ck_assert_uint_eq(second.vcpu[0]->tsc.khz, wanted);
        ck_assert(!second.vcpu[0]->tsc.has_offset);
    }
    kvm_bench_state_clear(&first);
    kvm_bench_state_clear(&second);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

START_TEST(vcpus_do_not_go_before_the_clock)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBench *b = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};

    kvm_bench_save(a, &state);
    vm_state_free(state.vm);
    state.vm = vm_state_new();

    g_autofree char *no_clock = kvm_bench_try_load(b, &state, CLOCK_FREEZE);

    ck_assert_str_eq(no_clock, "it was saved without a clock");
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
    kvm_bench_free(b);
}
END_TEST

static const char *const absurd[] = {"clock_ns", "realtime_ns"};

START_TEST(an_absurd_time_is_refused)
{
    KvmBench *a = kvm_bench_new(1, NULL, 0);
    KvmBenchState state = {0};
    g_autoptr(GError) error = NULL;

    kvm_bench_save(a, &state);

    g_autoptr(GByteArray) wire = wire_of(state.vm);

    store_le64(number_in(wire, absurd[_i]), UINT64_MAX);
    ck_assert(!vmstate_load(&vm_state_vmstate, state.vm, wire->data, wire->len, &error));
    ck_assert_msg(g_str_has_prefix(error->message, absurd[_i]), "%s", error->message);
    kvm_bench_state_clear(&state);
    kvm_bench_free(a);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vm_state");

    kvm_bench_require();
    tcase_add_test(tc, a_clock_that_catches_up_knows_of_the_hour);
    tcase_add_test(tc, a_frozen_clock_does_not);
    tcase_add_test(tc, a_host_whose_wall_clock_is_behind_goes_on_from_the_save);
    tcase_add_test(tc, a_tsc_without_an_offset_goes_on_by_value);
    tcase_add_test(tc, a_guest_learns_that_it_stood_still);
    tcase_add_test(tc, another_frequency_is_scaled_or_refused_with_both);
    tcase_add_test(tc, vcpus_do_not_go_before_the_clock);
    tcase_add_loop_test(tc, an_absurd_time_is_refused, 0, (int)G_N_ELEMENTS(absurd));
    return suite_run("vm_state", tc);
}
