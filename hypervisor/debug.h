/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_DEBUG_H
#define HYPERVISOR_DEBUG_H

/*
 * What a debugger may ask of vCPUs: registers, addresses, and to be told when they get somewhere.
 *
 *     DebugTarget     which registers there are; one per architecture, a const table
 *     DebugSettings   where a vCPU is to stop; given to it while it is parked
 *     DebugStop       why it stopped, when it did
 *     DebugOps        how a hypervisor does it; both KVM and the fake have one
 *
 * Registers travel as a block: all of them in the target's order, each in its whole bytes, little
 * endian, none between.  That is the order of gdb's packets too.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Hypervisor Hypervisor;
typedef struct Vcpu Vcpu;
typedef struct GuestMemory GuestMemory;

/* ---- what there is ---- */

typedef struct DebugRegister {
    const char *name;
    const char *type;  /* as gdb knows it; NULL: an integer */
    const char *group; /* NULL: gdb decides */
    uint16_t bits;
    uint8_t feature; /* index into the target's */
    bool readonly;   /* what is written to it is dropped */

    /* where the architecture keeps it, in terms of its own */
    uint8_t source_bytes;
    uint64_t source;
} DebugRegister;

/* Registers that gdb knows as one, or that only we know.  types is XML that describes theirs. */
typedef struct DebugFeature {
    const char *name;
    const char *types; /* may be NULL */
} DebugFeature;

typedef struct DebugTarget {
    const char *architecture; /* as gdb spells it */
    const DebugFeature *features;
    const DebugRegister *registers; /* those of a feature stand together */
    size_t num_registers;
    size_t pc; /* index of the program counter */

    /* the instruction that is put in the guest's place of one */
    uint8_t breakpoint[4];
    uint8_t breakpoint_bytes;
} DebugTarget;

/* x86/ and arm64/ define it. */
extern const DebugTarget debug_target;

static inline size_t debug_register_bytes(const DebugRegister *reg)
{
    return (reg->bits + 7U) / 8;
}

/* The longest value of a register. */
#define DEBUG_VALUE_BYTES 256

/* Where a register is in the block; of num_registers: how long the block is. */
size_t debug_register_offset(const DebugTarget *target, size_t index);

/* ---- where to stop ---- */

typedef enum {
    DEBUG_POINT_EXECUTE,
    DEBUG_POINT_WRITE,
    DEBUG_POINT_READ,
    DEBUG_POINT_ACCESS, /* read or write */
} DebugPointKind;

/* The processor itself watches for it. */
typedef struct DebugPoint {
    DebugPointKind kind;
    uint64_t address;
    uint64_t len; /* 1 for DEBUG_POINT_EXECUTE */
} DebugPoint;

#define DEBUG_POINTS_MAX 32

/* All zeroes: not debugged. */
typedef struct DebugSettings {
    bool software; /* breakpoint instructions are ours */
    bool step;     /* stop after one instruction ... */
    bool mask;     /* ... and take no interrupt before it, where the hypervisor can do that */
    unsigned num_points;
    DebugPoint points[DEBUG_POINTS_MAX];
} DebugSettings;

typedef enum {
    DEBUG_STOP_NONE, /* nothing of ours: the guest's own business */
    DEBUG_STOP_STEP,
    DEBUG_STOP_SOFTWARE, /* at a breakpoint instruction, which may be the guest's own */
    DEBUG_STOP_POINT,
} DebugStopKind;

typedef struct DebugStop {
    DebugStopKind kind;
    uint64_t address;     /* of the instruction, or of the data that was touched */
    DebugPointKind point; /* DEBUG_STOP_POINT: which kind it was */
} DebugStop;

/* ---- how ---- */

typedef struct DebugOps {
    /* Any thread: can this host's processor do all of it? */
    bool (*check)(Hypervisor *hv, const DebugSettings *settings, GError **error);

    /* vCPU thread, parked. */
    bool (*apply)(Vcpu *vcpu, const DebugSettings *settings, GError **error);
    bool (*read_registers)(Vcpu *vcpu, uint8_t *ret_block, GError **error);
    bool (*write_registers)(Vcpu *vcpu, const uint8_t *block, GError **error);

    /*
     * vCPU thread, parked: one by the number that the hypervisor knows it by, which may not be in
     * the block.  Little endian; no longer than DEBUG_VALUE_BYTES.
     */
    bool (*read_numbered)(Vcpu *vcpu, uint64_t number, uint8_t *ret_value, size_t *ret_bytes,
                          GError **error);

    /* vCPU thread, parked: where the guest's tables put an address now.  False: nowhere. */
    bool (*translate)(Vcpu *vcpu, const GuestMemory *mem, uint64_t address, uint64_t *ret_gpa);

    /* vCPU thread, after a KVM_EXIT_DEBUG. */
    void (*explain)(Vcpu *vcpu, DebugStop *ret_stop);
    /* The exit was the guest's own business: it gets the exception that it would have had. */
    bool (*give_back)(Vcpu *vcpu, GError **error);
} DebugOps;

/* KVM's; x86/ and arm64/ define it. */
extern const DebugOps kvm_debug_ops;

#endif
