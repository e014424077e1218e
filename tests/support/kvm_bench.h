/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_KVM_BENCH_H
#define TESTS_SUPPORT_KVM_BENCH_H

/*
 * An x86 VM in real KVM with a few bytes of machine code in it, to see what a save and a load make
 * of its vCPUs.  The guest talks by OUT; the bench remembers what it said and can stop it there.
 */

#include "hypervisor/cpu_model.h"
#include "hypervisor/vcpu.h"
#include "hypervisor/vcpu_arch.h"
#include "hypervisor/vm_state.h"

#define KVM_BENCH_RAM   0x10000u
#define KVM_BENCH_CODE  0x1000u
#define KVM_BENCH_IDT   0x2000u
#define KVM_BENCH_GDT   0x3000u
#define KVM_BENCH_STACK 0x8000u

typedef struct KvmBench {
    Hypervisor *hv;
    CpuModel *model;
    uint8_t *ram;
    Vcpus *vcpus;

    Mutex lock;
    Cond changed;
    /* guarded by lock */
    unsigned outs;
    uint64_t said; /* by the last OUT */
    char *why;     /* a vCPU was lost */
} KvmBench;

/* What all vCPUs and the VM saved. */
typedef struct KvmBenchState {
    unsigned cpus;
    VcpuState **vcpu;
    VmState *vm;
} KvmBenchState;

/* Exits with status 77 and the reason where there is no KVM. */
void kvm_bench_require(void);

/* switches: of features of the host's model, to do without; may be NULL. */
KvmBench *kvm_bench_new(unsigned cpus, const CpuFeatureSwitch *switches, size_t num_switches);
void kvm_bench_free(KvmBench *b);

/* Puts code where vCPU 0 starts, in 32-bit protected mode with flat segments and no paging. */
void kvm_bench_boot(KvmBench *b, const void *code, size_t len);

/* A gate for one interrupt vector. */
void kvm_bench_set_gate(KvmBench *b, unsigned vector, uint32_t handler);

/* Runs until the guest has said something more, stops all vCPUs and answers what it was. */
uint64_t kvm_bench_run(KvmBench *b);

void kvm_bench_save(KvmBench *b, KvmBenchState *state);

/* Answers the message of an error, or NULL; the caller's to g_free. */
char *kvm_bench_try_load(KvmBench *b, const KvmBenchState *state, ClockPolicy policy);

/* RAM of from, and state through bytes as in a file. */
void kvm_bench_load(KvmBench *b, const KvmBench *from, const KvmBenchState *state,
                    ClockPolicy policy);

void kvm_bench_state_clear(KvmBenchState *state);

/* A state as bytes, and again as a state. */
GByteArray *kvm_bench_wire(VcpuState *state);
VcpuState *kvm_bench_unwire(const GByteArray *wire);

#endif
