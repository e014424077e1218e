/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_FAKE_H
#define HYPERVISOR_FAKE_H

/*
 * A hypervisor without a processor, for tests and for -accel qtest.
 *
 * It remembers the slots, routes, messages and doorbells that it was told, and its vCPUs "run" a
 * script: each entry is one exit, with a check of what the house answered to the one before.  A
 * vCPU at the end of its script stays in the guest until it is kicked, as an idle one would.
 *
 * For a debugger its vCPUs have registers that hold what was written to them, and an address space:
 * the upper half is RAM from 0 on, over and over, the lower half is RAM, too, up to FAKE_VIRTUAL_END.
 */

#include "hypervisor/hypervisor.h"
#include "hypervisor/vcpu.h"

#include <linux/kvm.h>

typedef struct FakeExit {
    uint32_t reason;  /* KVM_EXIT_... */
    uint64_t address; /* port or MMIO address */
    unsigned size;
    bool is_write;
    uint64_t value;  /* written; or what a read must have answered, checked at the next entry */
    int run_result;  /* not 0: what KVM_RUN answers instead of an exit */
    uint32_t detail; /* suberror, EOI vector, system event type */
    DebugStop stop;  /* KVM_EXIT_DEBUG */
} FakeExit;

#define FAKE_VIRTUAL_END  (UINT64_C(1) << 46)
#define FAKE_VIRTUAL_MASK UINT64_C(0x7fffffff)

Hypervisor *fake_hypervisor_new(void);

/* Before the vCPUs run.  script must outlive them. */
void fake_set_script(Hypervisor *hv, unsigned vcpu, const FakeExit *script, size_t count);

/* Any thread. */
size_t fake_script_position(Hypervisor *hv, unsigned vcpu);
unsigned fake_wrong_reads(Hypervisor *hv);
/* Debug exits that nobody wanted. */
unsigned fake_given_back(Hypervisor *hv);

/* Main thread: what it was told. */
const MemorySlot *fake_slot(Hypervisor *hv, unsigned index);
size_t fake_num_messages(Hypervisor *hv);
MsiMessage fake_message(Hypervisor *hv, size_t index);
size_t fake_num_routes(Hypervisor *hv);
GsiRoute fake_route(Hypervisor *hv, size_t index);
unsigned fake_route_updates(Hypervisor *hv);
size_t fake_num_ioeventfds(Hypervisor *hv);

#endif
