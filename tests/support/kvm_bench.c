/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kvm_bench.h"

#include "hypervisor/kvm.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define SKIP         77
#define IOAPIC_PINS  24
#define CODE_SEGMENT 0x10

static bool bench_started(void *opaque, Vcpu *vcpu, GError **error)
{
    KvmBench *b = opaque;

    return vcpu_arch_init(vcpu, b->model, error);
}

static uint64_t bench_read(void *opaque, VcpuSpace space, uint64_t address, unsigned size)
{
    (void)opaque;
    (void)space;
    (void)address;
    (void)size;
    return 0;
}

static void bench_write(void *opaque, VcpuSpace space, uint64_t address, unsigned size,
                        uint64_t value)
{
    KvmBench *b = opaque;

    (void)space;
    (void)address;
    (void)size;
    vcpus_pause_begin(b->vcpus);
    mutex_lock(&b->lock);
    b->outs++;
    b->said = value;
    mutex_unlock(&b->lock);
    cond_broadcast(&b->changed);
}

static void bench_eoi(void *opaque, unsigned vector)
{
    (void)opaque;
    (void)vector;
}

static void bench_end(KvmBench *b, const char *why)
{
    mutex_lock(&b->lock);
    g_free(b->why);
    b->why = g_strdup(why);
    mutex_unlock(&b->lock);
    cond_broadcast(&b->changed);
}

static void bench_shutdown(void *opaque, Vcpu *vcpu)
{
    g_autofree char *registers = vcpu_arch_describe(vcpu);
    g_autofree char *why = g_strdup_printf("triple fault: %s", registers);

    bench_end(opaque, why);
}

static void bench_failed(void *opaque, Vcpu *vcpu, const char *why)
{
    (void)vcpu;
    bench_end(opaque, why);
}

static const VcpuHooks hooks = {
    .started = bench_started,
    .read = bench_read,
    .write = bench_write,
    .eoi = bench_eoi,
    .shutdown = bench_shutdown,
    .failed = bench_failed,
};

static void require(bool ok, GError **error)
{
    ck_assert_msg(ok, "%s", *error ? (*error)->message : "no message");
}

void kvm_bench_require(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Hypervisor) hv = kvm_new("/dev/kvm", &error);

    if (!hv || !hypervisor_init(hv, IOAPIC_PINS, &error)) {
        printf("SKIP: %s\n", error->message);
        exit(SKIP);
    }
}

KvmBench *kvm_bench_new(unsigned cpus, const CpuFeatureSwitch *switches, size_t num_switches)
{
    g_autoptr(GError) error = NULL;
    KvmBench *b = g_new0(KvmBench, 1);
    const CpuModelConfig model = {
        .name = "host",
        .switches = switches,
        .num_switches = num_switches,
        .topology = {.sockets = 1, .dies = 1, .cores = cpus, .threads = 1},
    };

    mutex_init(&b->lock);
    cond_init(&b->changed);
    b->hv = kvm_new("/dev/kvm", &error);
    require(b->hv && hypervisor_init(b->hv, IOAPIC_PINS, &error), &error);
    b->model = cpu_model_new(b->hv, &model, &error);
    require(b->model != NULL, &error);
    b->ram = mmap(NULL, KVM_BENCH_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(b->ram != MAP_FAILED);

    const MemorySlot slot = {.gpa = 0, .size = KVM_BENCH_RAM, .hva = b->ram};

    require(hypervisor_set_memory_slot(b->hv, &slot, &error) && hypervisor_settle(b->hv, &error),
            &error);
    b->vcpus = vcpus_new(b->hv, cpus, &hooks, b, &error);
    require(b->vcpus != NULL, &error);
    return b;
}

void kvm_bench_free(KvmBench *b)
{
    vcpus_free(b->vcpus);
    cpu_model_free(b->model);
    hypervisor_free(b->hv);
    munmap(b->ram, KVM_BENCH_RAM);
    cond_fini(&b->changed);
    mutex_fini(&b->lock);
    g_free(b->why);
    g_free(b);
}

static bool enter(Vcpu *vcpu, void *opaque, GError **error)
{
    const KvmBench *b = opaque;
    const VcpuEntry entry = {
        .mode = VCPU_ENTRY_PVH,
        .rip = KVM_BENCH_CODE,
        .rsp = KVM_BENCH_STACK,
        .gdt_base = KVM_BENCH_GDT,
        .gdt_limit = 4 * 8 - 1,
    };

    return vcpu_arch_enter(vcpu, b->model, vcpu->index == 0 ? &entry : NULL, error);
}

void kvm_bench_boot(KvmBench *b, const void *code, size_t len)
{
    g_autoptr(GError) error = NULL;

    ck_assert_uint_le(len, KVM_BENCH_IDT - KVM_BENCH_CODE);
    memcpy(b->ram + KVM_BENCH_CODE, code, len);
    store_le64(b->ram + KVM_BENCH_GDT + CODE_SEGMENT, UINT64_C(0x00cf9b000000ffff));
    store_le64(b->ram + KVM_BENCH_GDT + CODE_SEGMENT + 8, UINT64_C(0x00cf93000000ffff));
    require(vcpus_each(b->vcpus, enter, b, &error), &error);
}

void kvm_bench_set_gate(KvmBench *b, unsigned vector, uint32_t handler)
{
    uint8_t *gate = b->ram + KVM_BENCH_IDT + (size_t)vector * 8;

    store_le32(gate, CODE_SEGMENT << 16 | (handler & 0xffff));
    store_le32(gate + 4, (handler & 0xffff0000) | 0x8e00);
}

uint64_t kvm_bench_run(KvmBench *b)
{
    mutex_lock(&b->lock);

    unsigned before = b->outs;

    mutex_unlock(&b->lock);
    vcpus_resume(b->vcpus);
    mutex_lock(&b->lock);
    while (b->outs == before && !b->why) {
        cond_wait(&b->changed, &b->lock);
    }
    ck_assert_msg(!b->why, "%s", b->why);

    uint64_t said = b->said;

    mutex_unlock(&b->lock);
    vcpus_pause(b->vcpus);
    return said;
}

static bool save_one(Vcpu *vcpu, void *opaque, GError **error)
{
    KvmBenchState *state = opaque;

    return vcpu_arch_save(vcpu, state->vcpu[vcpu->index], error);
}

void kvm_bench_save(KvmBench *b, KvmBenchState *state)
{
    g_autoptr(GError) error = NULL;

    state->cpus = vcpus_count(b->vcpus);
    state->vcpu = g_new0(VcpuState *, state->cpus);
    for (unsigned i = 0; i < state->cpus; i++) {
        state->vcpu[i] = vcpu_state_new();
    }
    state->vm = vm_state_new();
    require(vcpus_each(b->vcpus, save_one, state, &error), &error);
    require(vm_state_save(b->hv, state->vm, &error), &error);
}

typedef struct Load {
    const KvmBenchState *state;
    CpuModel *model;
} Load;

static bool load_one(Vcpu *vcpu, void *opaque, GError **error)
{
    const Load *load = opaque;

    return vcpu_arch_load(vcpu, load->model, load->state->vcpu[vcpu->index], error);
}

char *kvm_bench_try_load(KvmBench *b, const KvmBenchState *state, ClockPolicy policy)
{
    g_autoptr(GError) error = NULL;
    Load load = {.state = state, .model = b->model};

    if (vm_state_load(b->hv, state->vm, policy, &error) &&
        vcpus_each(b->vcpus, load_one, &load, &error)) {
        return NULL;
    }
    return g_strdup(error->message);
}

GByteArray *kvm_bench_wire(VcpuState *state)
{
    g_autoptr(GError) error = NULL;
    GByteArray *wire = g_byte_array_new();

    require(vmstate_save(&vcpu_state_vmstate, state, wire, &error), &error);
    return wire;
}

VcpuState *kvm_bench_unwire(const GByteArray *wire)
{
    g_autoptr(GError) error = NULL;
    VcpuState *state = vcpu_state_new();

    require(vmstate_load(&vcpu_state_vmstate, state, wire->data, wire->len, &error), &error);
    return state;
}

void kvm_bench_load(KvmBench *b, const KvmBench *from, const KvmBenchState *state,
                    ClockPolicy policy)
{
    KvmBenchState copy = {.cpus = state->cpus, .vm = state->vm};

    if (b != from) {
        memcpy(b->ram, from->ram, KVM_BENCH_RAM);
    }
    copy.vcpu = g_new0(VcpuState *, copy.cpus);
    for (unsigned i = 0; i < copy.cpus; i++) {
        g_autoptr(GByteArray) wire = kvm_bench_wire(state->vcpu[i]);

        copy.vcpu[i] = kvm_bench_unwire(wire);
    }

    g_autofree char *why = kvm_bench_try_load(b, &copy, policy);

    ck_assert_msg(!why, "%s", why);
    copy.vm = NULL;
    kvm_bench_state_clear(&copy);
}

void kvm_bench_state_clear(KvmBenchState *state)
{
    for (unsigned i = 0; i < state->cpus; i++) {
        vcpu_state_free(state->vcpu[i]);
    }
    g_free(state->vcpu);
    vm_state_free(state->vm);
    *state = (KvmBenchState){0};
}
