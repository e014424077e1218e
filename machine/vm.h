/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_VM_H
#define MACHINE_VM_H

/*
 * One virtual machine: what it is made of, and its life.
 *
 *     vm_new          hypervisor, RAM, buses, back ends, devices     (the one construction path)
 *     vm_boot         kernel and tables into RAM, boot processor at its entry
 *     vm_load         or: the state of a template (vm_migration.h)
 *     vm_cont         vCPUs run;  vm_stop  vCPUs parked, devices drained
 *     vm_reset        everything to power-on, then as vm_boot
 *     vm_request      how devices and vCPUs ask, from any thread, for one of these
 *     vm_free
 *
 * Everything but vm_request belongs to the main loop's thread.  There may be many VMs.
 */

#include "devices/bus.h"
#include "devices/device.h"
#include "devices/irqline.h"
#include "devices/registry.h"
#include "hypervisor/cpu_model.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/memory.h"
#include "hypervisor/vcpu.h"
#include "machine/backends.h"
#include "machine/config.h"
#include "machine/ram.h"
#include "machine/runstate.h"
#include "migration/migration.h"
#include "util/clock.h"
#include "util/event.h"
#include "util/fd_set.h"
#include "util/loop.h"
#include "util/text.h"

typedef struct Vm Vm;
typedef struct Machine Machine;
typedef struct GuestDump GuestDump;

/* Somebody who wants to see every change of an interrupt wire (qtest). */
typedef struct IrqTap {
    void (*seen)(void *opaque, unsigned line, bool high);
    void *opaque;
} IrqTap;

/* Somebody who looks into the guest (the gdb server). */
typedef struct DebugTap {
    /* Main loop, vCPUs parked: they are about to run, and have been running. */
    void (*starting)(void *opaque);
    void (*stopped)(void *opaque);
    /* vCPU thread: true if the stop was wanted; the VM will stop in state debug. */
    bool (*hit)(void *opaque, const Vcpu *vcpu, const DebugStop *stop);
    void *opaque;
} DebugTap;

/* What is done when something happens; begins as the configuration says. */
typedef struct VmActions {
    ShutdownAction shutdown;
    RebootAction reboot;
    PanicAction panic;
    WatchdogAction watchdog;
} VmActions;

/* A machine model: the address map and the devices that are always there. */
typedef struct MachineOps {
    const char *name;
    const char *description;
    unsigned max_cpus;

    /* Interrupt controller pins that this VM needs, known before it is built. */
    unsigned (*interrupt_pins)(const VmConfig *config);

    /* RAM at its guest addresses; it shows the template, if there is one. */
    bool (*map_memory)(Vm *vm, const TemplateReader *template, GError **error);

    /* The devices that are always there, then those of -device, in that order. */
    bool (*build)(Vm *vm, GError **error);

    /* Writes what the guest boots from into RAM and says where the boot processor starts. */
    bool (*load)(Vm *vm, VcpuEntry *ret_entry, GError **error);

    /* Asks the guest to power off.  False if it has no power button. */
    bool (*power_button)(Vm *vm);

    /* Optional, main loop: where a kick of the queue goes.  False if the device has no such place. */
    bool (*doorbell)(Vm *vm, const VirtioDevice *dev, unsigned queue, IoEventFd *ret_doorbell);

    /* Optional, vCPU thread: the guest acknowledged a level interrupt of the I/O APIC. */
    void (*eoi)(Machine *machine, unsigned vector);

    void (*free)(Machine *machine); /* accepts NULL */
} MachineOps;

/* What may be asked of the VM from anywhere. */
typedef enum {
    VM_REQUEST_RESET,
    VM_REQUEST_SHUTDOWN,
    VM_REQUEST_EXIT,       /* end the process with exit_status, whatever -no-shutdown says */
    VM_REQUEST_PANIC,      /* the guest says it panicked */
    VM_REQUEST_FAILED,     /* a vCPU cannot go on */
    VM_REQUEST_RAM_FAILED, /* what RAM was to hold is not to be had any more */
    VM_REQUEST_DISK_ERROR,
    VM_REQUEST_DEBUG, /* a vCPU stopped for a debugger */
    VM_REQUEST_COUNT,
} VmRequestKind;

typedef struct VmRequest {
    VmRequestKind kind;
    bool from_guest;
    const char *reason; /* as QMP's ShutdownCause spells it; a constant */
    const char *text;   /* for the log and the event; copied; may be NULL */
    int exit_status;    /* VM_REQUEST_EXIT */
} VmRequest;

struct Vm {
    /* fixed after vm_new */
    const VmConfig *config;
    const MachineOps *machine_ops;
    Loop *loop;
    const VmEventSink *events;
    GuestClock *clock; /* runs while the VM does */
    Hypervisor *hypervisor;
    CpuModel *cpu_model;
    GuestMemory *memory;
    Bus *mmio;
    Bus *ports;
    FdSets *fd_sets;
    Backends *backends;
    Vcpus *vcpus;
    Machine *machine;  /* the model's own */
    GPtrArray *tapped; /* wires that tell irq_tap */
    VirtioHost virtio_host;
    DeviceContext device_context;

    /* main loop only */
    IrqTap irq_tap;
    DebugTap debug_tap;
    VmActions actions;
    GPtrArray *devices; /* of Device, owned, in the order they were built */
    RunState state;
    RunState state_before_save; /* where a save that fails goes back to */
    Migration *migration;       /* the save or load under way, or the last */
    GuestDump *dump;            /* the dump under way, or the last; NULL: none yet */
    bool drained;
    bool ever_reset;   /* the vCPUs are not fresh any more */
    bool resetting;    /* between begin and end: nothing else lets the vCPUs run */
    GThread *emptying; /* of a reset that the guest asked for */
    int exit_status;

    Mutex trouble_lock;
    /* guarded by trouble_lock */
    bool takes_trouble; /* of RAM: there are vCPUs to stop */

    Mutex request_lock;
    /* guarded by request_lock */
    uint32_t requests; /* bit per VmRequestKind */
    VmRequest request[VM_REQUEST_COUNT];
    char *request_text[VM_REQUEST_COUNT];
};

/* The hypervisor of config's accelerator.  It takes a while to come: ask for it early. */
Hypervisor *vm_hypervisor_new(const VmConfig *config, GError **error);

/* What a VM starts with; all of it may be NULL. */
typedef struct VmOrigin {
    Hypervisor *hypervisor;   /* vm_new takes it, even if it fails; NULL: one is made */
    TemplateReader *template; /* RAM shows it; needed until the VM is loaded */
} VmOrigin;

/* config, loop and events stay the caller's and outlive the VM.  origin may be NULL. */
Vm *vm_new(const VmConfig *config, Loop *loop, const VmEventSink *events, VmOrigin *origin,
           GError **error);

/* Accepts NULL. */
void vm_free(Vm *vm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vm, vm_free)

/* For machine models: realizes dev and appends it to the VM's list.  Takes ownership, always. */
bool vm_add_device(Vm *vm, Device *dev, GError **error);

/* NULL if there is none. */
Device *vm_find_device(const Vm *vm, const char *id);

/* The generation id that the guest sees; false if it sees none. */
bool vm_generation_id(const Vm *vm, char ret_text[TEXT_UUID_SIZE]);

bool vm_boot(Vm *vm, GError **error);
bool vm_cont(Vm *vm, GError **error);

/* Parks the vCPUs and drains the devices, then enters state.  Raises STOP if the VM was running. */
bool vm_stop(Vm *vm, RunState state, GError **error);

/*
 * The two ends of standing still for a template.  After a save the VM enters state, which may be
 * running; after a load it runs or is paused.
 */
void vm_leave_save(Vm *vm, RunState state);
void vm_leave_load(Vm *vm, bool runs);

/* All at once; vm_reset.h has it in parts.  reason as QMP spells it ("host-qmp-system-reset"). */
bool vm_reset(Vm *vm, bool from_guest, const char *reason, GError **error);
bool vm_check_not_resetting(const Vm *vm, GError **error);

/* Presses the power button. */
bool vm_powerdown(Vm *vm, GError **error);

/* Ends the VM as -action shutdown= says: leaves the loop, or stops and keeps the VM. */
void vm_shutdown(Vm *vm, bool from_guest, const char *reason);

/* Leaves the loop. */
void vm_quit(Vm *vm, bool from_guest, const char *reason, int exit_status);

/*
 * Any thread.  The vCPUs stop at once and the main loop acts on it soon; while the VM stands still
 * for a save, only an end of the process is acted upon, and the rest afterwards.
 */
void vm_request(Vm *vm, const VmRequest *request);

/* Has somebody asked for something that was not acted upon yet? */
bool vm_has_requests(Vm *vm);

/* Main loop: acts on what could not be acted upon while the VM stood still for a save. */
void vm_catch_up_requests(Vm *vm);

/*
 * For machine models: the wire itself, or with -accel qtest one that also tells irq_tap.  line is
 * the number that the tap is told.
 */
IrqLine vm_wire(Vm *vm, IrqLine wire, unsigned line);

/* Fills device_context and virtio_host, through which devices reach their VM; vm_devices.c. */
void vm_lend_to_devices(Vm *vm);

/* What the VM's RAM is made from (template may be NULL), and whether RAM that fails stops the VM. */
RamSources vm_ram_sources(Vm *vm, const TemplateReader *template);
void vm_take_ram_trouble(Vm *vm, bool takes);

/* What vCPU exits turn into; vm_exit.c. */
extern const VcpuHooks vm_vcpu_hooks;

/* The hook for a vCPU thread's start: gives the vCPU its model. */
bool vm_vcpu_started(void *opaque, Vcpu *vcpu, GError **error);

#endif
