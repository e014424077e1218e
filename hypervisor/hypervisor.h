/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_HYPERVISOR_H
#define HYPERVISOR_HYPERVISOR_H

/*
 * What the rest of the house may ask of the machine's hypervisor, as one const table of functions.
 *
 * Two implementations: kvm.c (Linux KVM), and fake.c (in-process: records what it was told and
 * runs scripted exits, so that everything above works without /dev/kvm).  struct kvm_run from the
 * kernel's ABI is the common language for vCPU exits.
 *
 * Order that costs least on current kernels (docs/decisions/0002-start-order.md): slots, vCPUs,
 * then everything that registers on an in-kernel bus (ioeventfd), which makes later slot changes
 * wait for a grace period.
 */

#include "hypervisor/debug.h"
#include "util/side_thread.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_run;

/* One range of guest RAM.  size 0 removes the slot. */
typedef struct MemorySlot {
    unsigned index;
    uint64_t gpa;
    uint64_t size;
    void *hva;
    bool readonly;
    bool log_dirty;
} MemorySlot;

typedef struct MsiMessage {
    uint64_t address;
    uint32_t data;
} MsiMessage;

/* GSI n delivers msi; GSIs below the IOAPIC's pin count are its pins. */
typedef struct GsiRoute {
    unsigned gsi;
    MsiMessage msi;
} GsiRoute;

/* A guest write to address becomes a count in fd instead of an exit. */
typedef struct IoEventFd {
    uint64_t address;
    unsigned size; /* 0 = any */
    bool match_data;
    uint64_t data;
    int fd;
} IoEventFd;

typedef struct HypervisorOps {
    const char *name;      /* as -accel and QMP spell it */
    const DebugOps *debug; /* what a debugger may ask */

    void (*free)(Hypervisor *hv);

    /* main thread: see hypervisor_init and hypervisor_settle; may be NULL */
    bool (*init)(Hypervisor *hv, unsigned ioapic_pins, GError **error);
    bool (*settle)(Hypervisor *hv, GError **error);

    /* main thread; before settle it may take effect later, and fail in there */
    bool (*set_memory_slot)(Hypervisor *hv, const MemorySlot *slot, GError **error);
    /* ret_bitmap: one bit per 4 KiB page, in (size / 4096 / 64, rounded up) uint64_t */
    bool (*get_dirty_log)(Hypervisor *hv, unsigned slot, void *ret_bitmap, GError **error);
    void (*free_vcpu)(Vcpu *vcpu); /* also after a create_vcpu that failed half way */

    /* the main thread or the vCPU's, several at once */
    bool (*create_vcpu)(Hypervisor *hv, unsigned index, Vcpu *vcpu, GError **error);

    /* vCPU thread: enters the guest; 0 after an exit that is described in vcpu's kvm_run, or
     * -errno (-EINTR after a kick). */
    int (*run)(Vcpu *vcpu);

    /* any thread */
    bool (*signal_msi)(Hypervisor *hv, const MsiMessage *msi, GError **error);
    bool (*set_gsi_routes)(Hypervisor *hv, const GsiRoute *routes, size_t count, GError **error);
    bool (*set_irqfd)(Hypervisor *hv, unsigned gsi, int fd, bool assign, GError **error);
    bool (*set_ioeventfd)(Hypervisor *hv, const IoEventFd *io, bool assign, GError **error);
} HypervisorOps;

struct Hypervisor {
    const HypervisorOps *ops;

    /*
     * What began the VM and becomes the first vCPU's thread: a start keeps no more processors busy
     * than it must.  NULL: the first vCPU gets a thread like any other.
     */
    SideThread *starter;
};

/* Accepts NULL. */
void hypervisor_free(Hypervisor *hv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hypervisor, hypervisor_free)

/*
 * Waits until it is there, and makes it ready for vCPUs.  GSIs below ioapic_pins belong
 * to the user-space IOAPIC (x86).  Once; before it, only slots may be asked for.
 */
bool hypervisor_init(Hypervisor *hv, unsigned ioapic_pins, GError **error);

/*
 * Waits until everything that was asked for has come to be.  Before any state of a vCPU is set: it
 * may point to guest memory.
 */
bool hypervisor_settle(Hypervisor *hv, GError **error);

bool hypervisor_set_memory_slot(Hypervisor *hv, const MemorySlot *slot, GError **error);
bool hypervisor_signal_msi(Hypervisor *hv, const MsiMessage *msi, GError **error);
bool hypervisor_set_gsi_routes(Hypervisor *hv, const GsiRoute *routes, size_t count,
                               GError **error);
bool hypervisor_set_irqfd(Hypervisor *hv, unsigned gsi, int fd, bool assign, GError **error);
bool hypervisor_set_ioeventfd(Hypervisor *hv, const IoEventFd *io, bool assign, GError **error);

#endif
