/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/vcpu.h"

#include "hypervisor/fake.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <errno.h>

#define CPUS 4

/* What the hooks saw; the lock also tells the test when something came. */
typedef struct Seen {
    Mutex lock;
    Cond changed;
    /* guarded by lock */
    unsigned writes;
    uint64_t last_address;
    uint64_t last_value;
    unsigned eois;
    unsigned shutdowns;
    unsigned failures;
    char *why;
} Seen;

static uint64_t seen_read(void *opaque, VcpuSpace space, uint64_t address, unsigned size)
{
    (void)opaque;
    (void)size;
    return space == VCPU_SPACE_PORT ? address ^ 0x5a : address + 1;
}

static void seen_write(void *opaque, VcpuSpace space, uint64_t address, unsigned size,
                       uint64_t value)
{
    Seen *seen = opaque;

    (void)space;
    (void)size;
    mutex_lock(&seen->lock);
    seen->writes++;
    seen->last_address = address;
    seen->last_value = value;
    cond_broadcast(&seen->changed);
    mutex_unlock(&seen->lock);
}

static void seen_eoi(void *opaque, unsigned vector)
{
    Seen *seen = opaque;

    mutex_lock(&seen->lock);
    seen->eois += vector;
    mutex_unlock(&seen->lock);
}

static void seen_shutdown(void *opaque, Vcpu *vcpu)
{
    Seen *seen = opaque;

    (void)vcpu;
    mutex_lock(&seen->lock);
    seen->shutdowns++;
    cond_broadcast(&seen->changed);
    mutex_unlock(&seen->lock);
}

static void seen_failed(void *opaque, Vcpu *vcpu, const char *why)
{
    Seen *seen = opaque;

    (void)vcpu;
    mutex_lock(&seen->lock);
    seen->failures++;
    g_free(seen->why);
    seen->why = g_strdup(why);
    cond_broadcast(&seen->changed);
    mutex_unlock(&seen->lock);
}

static const VcpuHooks hooks = {
    .read = seen_read,
    .write = seen_write,
    .eoi = seen_eoi,
    .shutdown = seen_shutdown,
    .failed = seen_failed,
};

static void seen_init(Seen *seen)
{
    *seen = (Seen){0};
    mutex_init(&seen->lock);
    cond_init(&seen->changed);
}

static void seen_fini(Seen *seen)
{
    g_free(seen->why);
    cond_fini(&seen->changed);
    mutex_fini(&seen->lock);
}

static void wait_for(Seen *seen, const unsigned *counter, unsigned at_least)
{
    mutex_lock(&seen->lock);
    while (*counter < at_least) {
        cond_wait(&seen->changed, &seen->lock);
    }
    mutex_unlock(&seen->lock);
}

START_TEST(exits_reach_the_right_hooks)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_IO, .address = 0x3f8, .size = 1, .is_write = true, .value = 'x'},
        {.reason = KVM_EXIT_IO, .address = 0x60, .size = 1, .value = 0x60 ^ 0x5a},
        {.reason = KVM_EXIT_MMIO, .address = 0xf0000000, .size = 4, .value = 0xf0000001},
        {.run_result = -EINTR},
        {.reason = KVM_EXIT_IOAPIC_EOI, .detail = 0x31},
        {.reason = KVM_EXIT_MMIO, .address = 0xfe, .size = 8, .is_write = true, .value = 77},
    };
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    Seen seen;

    seen_init(&seen);
    fake_set_script(hv, 0, script, G_N_ELEMENTS(script));
    {
        g_autoptr(Vcpus) vcpus = vcpus_new(hv, 1, &hooks, &seen, NULL);

        ck_assert_ptr_nonnull(vcpus);
        vcpus_resume(vcpus);
        wait_for(&seen, &seen.writes, 2);
        vcpus_pause(vcpus);
        ck_assert_uint_eq(atomic_load(&vcpus_get(vcpus, 0)->exits[KVM_EXIT_MMIO]), 2);
    }
    ck_assert_uint_eq(seen.last_value, 77);
    ck_assert_uint_eq(seen.eois, 0x31);
    ck_assert_uint_eq(fake_wrong_reads(hv), 0);
    seen_fini(&seen);
}
END_TEST

START_TEST(internal_error_is_reported_once_with_vcpu_and_reason)
{
    static const FakeExit script[] = {
        {.reason = KVM_EXIT_INTERNAL_ERROR, .detail = KVM_INTERNAL_ERROR_EMULATION},
        {.reason = KVM_EXIT_IO, .address = 1, .size = 1, .is_write = true},
    };
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    Seen seen;

    seen_init(&seen);
    fake_set_script(hv, 1, script, G_N_ELEMENTS(script));
    {
        g_autoptr(Vcpus) vcpus = vcpus_new(hv, 2, &hooks, &seen, NULL);

        vcpus_resume(vcpus);
        wait_for(&seen, &seen.failures, 1);
        vcpus_pause(vcpus);
        vcpus_resume(vcpus);
        vcpus_pause(vcpus);
        ck_assert_uint_eq(seen.writes, 0);
        ck_assert_uint_eq(fake_script_position(hv, 1), 1);

        vcpus_revive(vcpus);
        vcpus_resume(vcpus);
        wait_for(&seen, &seen.writes, 1);
    }
    ck_assert_uint_eq(seen.failures, 1);
    ck_assert_ptr_nonnull(strstr(seen.why, "vCPU 1: KVM cannot emulate an instruction"));
    seen_fini(&seen);
}
END_TEST

START_TEST(failing_run_call_and_unknown_exit_are_failures)
{
    static const FakeExit bad_call[] = {{.run_result = -ENOEXEC}};
    static const FakeExit bad_reason[] = {{.reason = 4000}};
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    Seen seen;

    seen_init(&seen);
    fake_set_script(hv, 0, bad_call, 1);
    fake_set_script(hv, 1, bad_reason, 1);
    {
        g_autoptr(Vcpus) vcpus = vcpus_new(hv, 2, &hooks, &seen, NULL);

        vcpus_resume(vcpus);
        wait_for(&seen, &seen.failures, 2);
    }
    seen_fini(&seen);
}
END_TEST

START_TEST(triple_fault_is_a_shutdown_and_parks_the_vcpu)
{
    static const FakeExit script[] = {{.reason = KVM_EXIT_SHUTDOWN}, {.reason = KVM_EXIT_SHUTDOWN}};
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    Seen seen;

    seen_init(&seen);
    fake_set_script(hv, 0, script, G_N_ELEMENTS(script));
    {
        g_autoptr(Vcpus) vcpus = vcpus_new(hv, 1, &hooks, &seen, NULL);

        vcpus_resume(vcpus);
        wait_for(&seen, &seen.shutdowns, 1);
        vcpus_pause(vcpus);
        ck_assert_uint_eq(seen.shutdowns, 1);
    }
    seen_fini(&seen);
}
END_TEST

static bool count_errand(Vcpu *vcpu, void *opaque, GError **error)
{
    atomic_uint *count = opaque;

    atomic_fetch_add(count, 1);
    return vcpu->index != 2 || fail(error, VMM_ERROR_HOST, "no");
}

START_TEST(errands_run_on_every_vcpu_and_name_the_one_that_failed)
{
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    g_autoptr(GError) error = NULL;
    atomic_uint count = 0;
    Seen seen;

    seen_init(&seen);
    {
        g_autoptr(Vcpus) vcpus = vcpus_new(hv, CPUS, &hooks, &seen, NULL);

        ck_assert(!vcpus_each(vcpus, count_errand, &count, &error));
        ck_assert_str_eq(error->message, "vCPU 2: no");
        ck_assert(vcpu_call(vcpus_get(vcpus, 3), count_errand, &count, NULL));
    }
    ck_assert_uint_eq(count, CPUS + 1);
    seen_fini(&seen);
}
END_TEST

static bool start_badly(void *opaque, Vcpu *vcpu, GError **error)
{
    (void)opaque;
    return vcpu->index != 1 || fail(error, VMM_ERROR_HOST, "cannot start");
}

START_TEST(failed_start_of_a_thread_comes_out_of_its_first_errand_only)
{
    static const VcpuHooks bad_start = {.started = start_badly};
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    g_autoptr(Vcpus) vcpus = vcpus_new(hv, CPUS, &bad_start, NULL, NULL);
    g_autoptr(GError) error = NULL;
    atomic_uint count = 0;

    ck_assert(vcpu_call(vcpus_get(vcpus, 0), count_errand, &count, NULL));
    ck_assert(!vcpu_call(vcpus_get(vcpus, 1), count_errand, &count, &error));
    ck_assert_str_eq(error->message, "vCPU 1: cannot start");
    ck_assert(vcpu_call(vcpus_get(vcpus, 1), count_errand, &count, NULL));
    ck_assert_uint_eq(count, 2);
}
END_TEST

/* A vCPU that writes for ever, so that a pause meets it in every place. */
START_TEST(pause_and_resume_never_lose_a_vcpu_under_load)
{
    g_autofree FakeExit *script = g_new0(FakeExit, 200000);
    g_autoptr(Hypervisor) hv = fake_hypervisor_new();
    atomic_uint errands = 0;
    Seen seen;

    seen_init(&seen);
    for (unsigned i = 0; i < 200000; i++) {
        script[i] = (FakeExit){.reason = KVM_EXIT_IO, .address = 1, .size = 1, .is_write = true};
    }
    for (unsigned i = 0; i < CPUS; i++) {
        fake_set_script(hv, i, script, 200000);
    }
    {
        g_autoptr(Vcpus) vcpus = vcpus_new(hv, CPUS, &hooks, &seen, NULL);

        for (unsigned round = 0; round < 500; round++) {
            unsigned before;

            vcpus_resume(vcpus);
            if (round % 3 == 0) {
                vcpus_pause_begin(vcpus);
            }
            vcpus_pause(vcpus);
            mutex_lock(&seen.lock);
            before = seen.writes;
            mutex_unlock(&seen.lock);
            ck_assert(!vcpus_each(vcpus, count_errand, &errands, NULL));
            ck_assert_uint_eq(seen.writes, before);
        }
    }
    seen_fini(&seen);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vcpu");

    tcase_set_timeout(tc, 60); /* sanitizers are slow, and the machine may be busy */
    tcase_add_test(tc, exits_reach_the_right_hooks);
    tcase_add_test(tc, internal_error_is_reported_once_with_vcpu_and_reason);
    tcase_add_test(tc, failing_run_call_and_unknown_exit_are_failures);
    tcase_add_test(tc, triple_fault_is_a_shutdown_and_parks_the_vcpu);
    tcase_add_test(tc, errands_run_on_every_vcpu_and_name_the_one_that_failed);
    tcase_add_test(tc, failed_start_of_a_thread_comes_out_of_its_first_errand_only);
    tcase_add_test(tc, pause_and_resume_never_lose_a_vcpu_under_load);
    return suite_run("vcpu", tc);
}
