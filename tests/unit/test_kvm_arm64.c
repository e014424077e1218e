/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AArch64 vCPU in real KVM: models, registers, entry, PSCI.  Skipped, with status 77 and the
 * reason, where KVM cannot be had (under user emulation, for one).
 */
#include "hypervisor/cpu_model.h"
#include "hypervisor/kvm.h"
#include "hypervisor/memory.h"
#include "hypervisor/vcpu.h"
#include "hypervisor/vcpu_arch.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SKIP     77
#define RAM      UINT64_C(0x40000000)
#define RAM_SIZE 0x10000u
#define CODE     (RAM + 0x1000)
#define DTB      UINT64_C(0x4000a000)
#define MMIO     UINT64_C(0x09000000)

/* Writes x0 to MMIO, then asks PSCI for SYSTEM_OFF. */
static const uint32_t program[] = {
    0xd2a12001, /* movz x1, #0x0900, lsl #16 */
    0xf9000020, /* str x0, [x1] */
    0xd2800100, /* movz x0, #0x8 */
    0xf2b08000, /* movk x0, #0x8400, lsl #16: SYSTEM_OFF */
    0xd4000002, /* hvc #0 */
    0x14000000, /* b . */
};

typedef struct Bench {
    Hypervisor *hv;
    CpuModel *model;
    void *ram;
    Vcpus *vcpus;

    Mutex lock;
    Cond changed;
    /* guarded by lock */
    uint64_t written;
    unsigned writes;
    bool ended;
    uint32_t event;
    char *why;
} Bench;

static bool bench_started(void *opaque, Vcpu *vcpu, GError **error)
{
    Bench *b = opaque;

    return vcpu_arch_init(vcpu, b->model, error);
}

static void bench_write(void *opaque, VcpuSpace space, uint64_t address, unsigned size,
                        uint64_t value)
{
    Bench *b = opaque;

    ck_assert_int_eq(space, VCPU_SPACE_MMIO);
    ck_assert_uint_eq(address, MMIO);
    ck_assert_uint_eq(size, 8);
    mutex_lock(&b->lock);
    b->written = value;
    b->writes++;
    mutex_unlock(&b->lock);
}

static void bench_end(Bench *b, uint32_t event, const char *why)
{
    mutex_lock(&b->lock);
    b->event = event;
    b->why = g_strdup(why);
    b->ended = true;
    mutex_unlock(&b->lock);
    cond_broadcast(&b->changed);
}

static void bench_event(void *opaque, uint32_t type)
{
    bench_end(opaque, type, NULL);
}

static void bench_failed(void *opaque, Vcpu *vcpu, const char *why)
{
    (void)vcpu;
    bench_end(opaque, 0, why);
}

static const VcpuHooks hooks = {
    .started = bench_started,
    .write = bench_write,
    .system_event = bench_event,
    .failed = bench_failed,
};

static const CpuModelConfig host_model = {.name = "host", .topology = {1, 1, 1, 1}};

/* NULL and an error where there is none. */
static Hypervisor *open_kvm(GError **error)
{
    g_autoptr(Hypervisor) hv = kvm_new("/dev/kvm", error);

    return hv && hypervisor_init(hv, /* ioapic_pins= */ 0, error) ? g_steal_pointer(&hv) : NULL;
}

static void start(Bench *b, unsigned cpus)
{
    g_autoptr(GError) error = NULL;

    memset(b, 0, sizeof(*b));
    mutex_init(&b->lock);
    cond_init(&b->changed);
    b->hv = open_kvm(&error);
    ck_assert_msg(b->hv != NULL, "%s", error ? error->message : "");
    b->model = cpu_model_new(b->hv, &host_model, &error);
    ck_assert_msg(b->model != NULL, "%s", error ? error->message : "");
    b->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(b->ram != MAP_FAILED);
    for (size_t i = 0; i < G_N_ELEMENTS(program); i++) {
        store_le32((uint8_t *)b->ram + (CODE - RAM) + 4 * i, program[i]);
    }

    const MemorySlot slot = {.gpa = RAM, .size = RAM_SIZE, .hva = b->ram};

    ck_assert(hypervisor_set_memory_slot(b->hv, &slot, &error));
    ck_assert(hypervisor_settle(b->hv, &error));
    b->vcpus = vcpus_new(b->hv, cpus, &hooks, b, &error);
    ck_assert_msg(b->vcpus != NULL, "%s", error ? error->message : "");
}

static void stop(Bench *b)
{
    vcpus_free(b->vcpus);
    cpu_model_free(b->model);
    hypervisor_free(b->hv);
    munmap(b->ram, RAM_SIZE);
    cond_fini(&b->changed);
    mutex_fini(&b->lock);
    g_free(b->why);
}

static bool enter(Vcpu *vcpu, void *opaque, GError **error)
{
    static const VcpuEntry entry = {.mode = VCPU_ENTRY_ARM64, .pc = CODE, .x0 = DTB};
    const Bench *b = opaque;

    return vcpu_arch_enter(vcpu, b->model, vcpu->index == 0 ? &entry : NULL, error);
}

static bool reset(Vcpu *vcpu, void *opaque, GError **error)
{
    static const VcpuEntry entry = {.mode = VCPU_ENTRY_ARM64, .pc = CODE, .x0 = DTB + 8};
    Bench *b = opaque;

    return vcpu_arch_reset(vcpu, b->model, vcpu->index == 0 ? &entry : NULL, error);
}

static bool describe(Vcpu *vcpu, void *opaque, GError **error)
{
    char **text = opaque;

    (void)error;
    *text = vcpu_arch_describe(vcpu);
    return true;
}

static void run_to_the_end(Bench *b)
{
    vcpus_resume(b->vcpus);
    mutex_lock(&b->lock);
    while (!b->ended) {
        cond_wait(&b->changed, &b->lock);
    }
    b->ended = false;
    mutex_unlock(&b->lock);
    vcpus_pause(b->vcpus);
    ck_assert_msg(b->why == NULL, "%s", b->why ? b->why : "");
    ck_assert_uint_eq(b->event, KVM_SYSTEM_EVENT_SHUTDOWN);
}

START_TEST(entry_is_where_the_registers_say)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    Bench b;

    start(&b, 1);
    ck_assert(vcpus_each(b.vcpus, enter, &b, &error));
    ck_assert(vcpu_call(vcpus_get(b.vcpus, 0), describe, &text, &error));
    ck_assert_msg(g_str_has_prefix(text, "pc=40001000 pstate=3c5 "), "%s", text);
    ck_assert_msg(strstr(text, " x0=4000a000 x1=0 ") != NULL, "%s", text);
    ck_assert_msg(strstr(text, " x30=0") != NULL, "%s", text);
    stop(&b);
}
END_TEST

START_TEST(guest_runs_from_its_entry_to_power_off)
{
    g_autoptr(GError) error = NULL;
    Bench b;

    start(&b, 1);
    ck_assert(vcpus_each(b.vcpus, enter, &b, &error));
    run_to_the_end(&b);
    ck_assert_uint_eq(b.written, DTB);
    stop(&b);
}
END_TEST

START_TEST(secondaries_stay_off_until_they_are_started)
{
    g_autoptr(GError) error = NULL;
    Bench b;

    start(&b, 3);
    ck_assert(vcpus_each(b.vcpus, enter, &b, &error));
    run_to_the_end(&b);
    ck_assert_uint_eq(b.writes, 1);
    stop(&b);
}
END_TEST

START_TEST(reset_starts_the_guest_again)
{
    g_autoptr(GError) error = NULL;
    Bench b;

    start(&b, 2);
    ck_assert(vcpus_each(b.vcpus, enter, &b, &error));
    run_to_the_end(&b);
    ck_assert(vcpus_each(b.vcpus, reset, &b, &error));
    vcpus_revive(b.vcpus);
    run_to_the_end(&b);
    ck_assert_uint_eq(b.written, DTB + 8);
    ck_assert_uint_eq(b.writes, 2);
    stop(&b);
}
END_TEST

START_TEST(model_refuses_what_it_does_not_know)
{
    const CpuFeatureSwitch avx = {.name = "avx", .on = true};
    const CpuModelConfig named = {.name = "epyc"};
    const CpuModelConfig with_avx = {.name = "max", .switches = &avx, .num_switches = 1};
    const CpuModelConfig with_pmu = {.name = "host", .pmu = true};
    const CpuModelConfig *const wrong[] = {&named, &with_avx, &with_pmu};
    const char *const said[] = {"'epyc'", "'avx'", "pmu"};
    g_autoptr(Hypervisor) hv = open_kvm(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(cpu_model_new(hv, wrong[i], &error));
        ck_assert_msg(strstr(error->message, said[i]) != NULL, "%s", error->message);
    }
}
END_TEST

START_TEST(features_can_be_taken_away)
{
    const CpuFeatureSwitch off[] = {{"sve", false}, {"pauth", false}};
    const CpuModelConfig config = {.name = "max", .switches = off, .num_switches = 2};
    g_autoptr(GError) error = NULL;
    Bench b;

    start(&b, 1);
    vcpus_free(b.vcpus);
    cpu_model_free(b.model);
    hypervisor_free(b.hv);
    b.hv = open_kvm(&error);
    b.model = cpu_model_new(b.hv, &config, &error);
    ck_assert_ptr_nonnull(b.model);
    b.vcpus = vcpus_new(b.hv, 1, &hooks, &b, &error);
    ck_assert_ptr_nonnull(b.vcpus);
    ck_assert(vcpus_each(b.vcpus, enter, &b, &error));
    stop(&b);
}
END_TEST

START_TEST(hardware_ids_are_affinities)
{
    ck_assert_uint_eq(cpu_model_hardware_id(NULL, 0), 0);
    ck_assert_uint_eq(cpu_model_hardware_id(NULL, 15), 15);
    ck_assert_uint_eq(cpu_model_hardware_id(NULL, 16), 0x100);
    ck_assert_uint_eq(cpu_model_hardware_id(NULL, 4096 + 17), 0x10101);
}
END_TEST

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Hypervisor) probe = open_kvm(&error);
    TCase *tc = tcase_create("kvm_arm64");

    if (!probe) {
        printf("%s\n", error->message);
        return SKIP;
    }
    tcase_add_test(tc, entry_is_where_the_registers_say);
    tcase_add_test(tc, guest_runs_from_its_entry_to_power_off);
    tcase_add_test(tc, secondaries_stay_off_until_they_are_started);
    tcase_add_test(tc, reset_starts_the_guest_again);
    tcase_add_test(tc, model_refuses_what_it_does_not_know);
    tcase_add_test(tc, features_can_be_taken_away);
    tcase_add_test(tc, hardware_ids_are_affinities);
    return suite_run("kvm_arm64", tc);
}
