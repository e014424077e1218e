/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MACHINE_CONFIG_H
#define MACHINE_CONFIG_H

/*
 * What VM the user wants, as plain data: the command line's only product.
 *
 *     argv --options_parse--> VmConfig --vm_config_validate--> machine, devices, QMP
 *                                 ^ |
 *                 a template's config section (JSON)
 *
 * Options with a fixed shape have members here; what has a type of its own (devices, back ends)
 * stays a PropBag in command-line order until its owner applies the table for that type.
 *
 * Nothing here has touched the host: no file was opened, no limit of this machine is known.
 */

#include "util/props.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define CONFIG_MAX_CPUS       254
#define CONFIG_MAX_NUMA_NODES 64
#define CONFIG_CPU_SET_WORDS  4 /* bits for CONFIG_MAX_CPUS */

/* Each enum has its words, as the command line, QMP and templates spell them; NULL at the end. */
typedef enum MachineType {
    MACHINE_NONE,
    MACHINE_MICROVM,
    MACHINE_Q35,
    MACHINE_VIRT,
} MachineType;
extern const char *const machine_type_names[];

typedef enum AccelType {
    ACCEL_KVM,
    ACCEL_QTEST,
} AccelType;
extern const char *const accel_type_names[];

typedef enum ShutdownAction {
    SHUTDOWN_ACTION_POWEROFF,
    SHUTDOWN_ACTION_PAUSE,
} ShutdownAction;
extern const char *const shutdown_action_names[];

typedef enum RebootAction {
    REBOOT_ACTION_RESET,
    REBOOT_ACTION_SHUTDOWN,
} RebootAction;
extern const char *const reboot_action_names[];

typedef enum PanicAction {
    PANIC_ACTION_PAUSE,
    PANIC_ACTION_SHUTDOWN,
    PANIC_ACTION_EXIT_FAILURE,
    PANIC_ACTION_NONE,
} PanicAction;
extern const char *const panic_action_names[];

typedef enum WatchdogAction {
    WATCHDOG_ACTION_RESET,
    WATCHDOG_ACTION_SHUTDOWN,
    WATCHDOG_ACTION_POWEROFF,
    WATCHDOG_ACTION_PAUSE,
    WATCHDOG_ACTION_DEBUG,
    WATCHDOG_ACTION_NONE,
    WATCHDOG_ACTION_INJECT_NMI,
} WatchdogAction;
extern const char *const watchdog_action_names[];

typedef enum RtcClock {
    RTC_CLOCK_HOST,
    RTC_CLOCK_RT,
    RTC_CLOCK_VM,
} RtcClock;
extern const char *const rtc_clock_names[];

typedef struct MachineConfig {
    MachineType type;
    OnOffAuto acpi;
    bool mem_share;
    bool dump_guest_core;
    OnOffAuto mem_merge;
    char *memory_backend; /* id of an object, or NULL */

    /* What microvm can have or leave out; auto is the machine's own choice. */
    OnOffAuto pit;
    OnOffAuto pic;
    OnOffAuto rtc;
    OnOffAuto isa_serial;
    bool auto_kernel_cmdline; /* virtio-mmio devices are added to the kernel's command line */
} MachineConfig;

typedef struct CpuFeature {
    char *name;
    bool on;
} CpuFeature;

typedef struct CpuConfig {
    char *model;      /* "host", "max" or a named set of features */
    GArray *features; /* of CpuFeature, in order: a later one wins */
    OnOffAuto pmu;
} CpuConfig;

/* cpus <= max_cpus = sockets * dies * clusters * cores * threads */
typedef struct SmpConfig {
    unsigned cpus;
    unsigned max_cpus;
    unsigned sockets;
    unsigned dies;
    unsigned clusters;
    unsigned cores;
    unsigned threads;
} SmpConfig;

typedef struct MemoryConfig {
    uint64_t size;
    unsigned slots;
    uint64_t max_size; /* = size when nothing can be plugged */
    char *path;        /* -mem-path, or NULL */
    bool prealloc;
} MemoryConfig;

/* Nodes are complete: ids run from 0, sizes add up to the RAM, every CPU is in one of them. */
typedef struct NumaNode {
    unsigned id;
    uint64_t cpus[CONFIG_CPU_SET_WORDS];
    char *memdev; /* id of an object, or NULL: a part of the machine's RAM */
    uint64_t size;
    uint8_t distance[CONFIG_MAX_NUMA_NODES];
} NumaNode;

typedef struct BootConfig {
    char *kernel;
    char *initrd;
    char *append;
    char *dtb;
} BootConfig;

/* uri is "defer", "file:PATH", "fd:N", ...; options may be empty, never NULL with a uri. */
typedef struct IncomingConfig {
    char *uri; /* NULL: boot */
    PropBag *options;
} IncomingConfig;

typedef struct RtcConfig {
    char *base; /* "utc", "localtime" or a date such as 2006-06-17T16:01:21 */
    RtcClock clock;
} RtcConfig;

/* Which of these the user said, for a template whose own configuration fills the rest. */
typedef struct ConfigGiven {
    bool machine;
    bool accel;
    bool cpu;
    bool smp;
    bool memory;
} ConfigGiven;

typedef struct VmConfig {
    /* Who it is. */
    char *name;         /* NULL: no name */
    char *process_name; /* what the process is called, or NULL */
    bool debug_threads; /* threads carry their names */
    bool uuid_given;
    uint8_t uuid[16];

    /* What the guest sees. */
    MachineConfig machine;
    AccelType accel;
    CpuConfig cpu;
    SmpConfig smp;
    MemoryConfig memory;
    GPtrArray *numa_nodes; /* of NumaNode; empty: no NUMA */
    BootConfig boot;
    RtcConfig rtc;

    /*
     * Of PropBag, in command-line order; in brackets the implied key.  serials, monitors, qtest
     * and gdb only refer to chardevs: a back end that was written in place ("-serial stdio") has
     * become a chardev with an id of ours (serial0, compat_monitor0, qtest, gdb).
     */
    GPtrArray *objects;   /* [qom-type] -object */
    GPtrArray *drives;    /* -drive; an id is always there */
    GPtrArray *blockdevs; /* [driver] -blockdev */
    GPtrArray *netdevs;   /* [type] -netdev */
    GPtrArray *chardevs;  /* [backend] -chardev */
    GPtrArray *devices;   /* [driver] -device */
    GPtrArray *serials;   /* chardev=ID; without it the port exists and leads nowhere */
    GPtrArray *monitors;  /* chardev=ID,mode=control,pretty=on|off */
    GPtrArray *add_fds;   /* fd=N,set=N,opaque=TEXT */
    GPtrArray *globals;   /* driver=,property=,value= */
    GPtrArray *smbios;    /* -smbios, for machines that have it */

    bool hardware_signature_given; /* what ACPI's FACS says, for machines that have one */
    uint32_t hardware_signature;

    /* How it runs. */
    IncomingConfig incoming;
    bool start_paused;
    bool daemonize;
    bool exit_with_parent;
    bool msg_timestamp; /* lines of the log begin with the time */
    char *pid_file;
    char *log_file;
    GPtrArray *traces; /* -trace, in order */
    char *qtest;       /* id of a chardev, or NULL */
    char *gdb;         /* id of a chardev, or NULL */
    OnOffAuto sandbox; /* auto: on, but for -accel qtest */
    ShutdownAction on_shutdown;
    RebootAction on_reboot;
    PanicAction on_panic;
    WatchdogAction on_watchdog;

    ConfigGiven given;
} VmConfig;

/* The defaults: microvm, kvm, one vCPU like the host's, 256 MiB, no devices. */
VmConfig *vm_config_new(void);

/* Accepts NULL. */
void vm_config_free(VmConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmConfig, vm_config_free)

/* Everything that can be known to be wrong without asking the host; one error, the first. */
bool vm_config_validate(const VmConfig *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The bag in the list (devices, objects, ...) with this id, or NULL. */
const PropBag *vm_config_find(const GPtrArray *bags, const char *id);

/* Adds what -global says about the device's type to its bag, unless the device says it itself. */
void vm_config_apply_globals(const VmConfig *config, PropBag *device);

/*
 * The VM itself as JSON, without what concerns this process only (incoming, monitors, log, pid
 * file, ...); and back, with those at their defaults.
 */
json_object *vm_config_to_json(const VmConfig *config);
VmConfig *vm_config_from_json(json_object *json, GError **error);

/* For tables and for the parser: an element of CpuConfig.features, and of numa_nodes. */
void cpu_config_add_feature(CpuConfig *cpu, const char *name, bool on);
void numa_node_free(NumaNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NumaNode, numa_node_free)

#endif
