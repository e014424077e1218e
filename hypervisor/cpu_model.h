/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HYPERVISOR_CPU_MODEL_H
#define HYPERVISOR_CPU_MODEL_H

/*
 * What the guest sees as its processor: a model ("host", or a named feature set), features added
 * and taken away, and the topology.  Made once per VM, applied to each vCPU.
 */

#include "hypervisor/hypervisor.h"

typedef struct CpuTopology {
    unsigned sockets, dies, cores, threads; /* cores per die, threads per core */
} CpuTopology;

typedef struct CpuFeatureSwitch {
    const char *name;
    bool on;
} CpuFeatureSwitch;

typedef struct CpuModelConfig {
    const char *name; /* "host", "max", or a named set */
    const CpuFeatureSwitch *switches;
    size_t num_switches;
    bool pmu;
    CpuTopology topology;
} CpuModelConfig;

typedef struct CpuModel CpuModel;

CpuModel *cpu_model_new(Hypervisor *hypervisor, const CpuModelConfig *config, GError **error);

/*
 * Finds out what the host has, which takes a while.  Whoever needs it does so too; this is for one
 * who has the time.  Failures show when it is needed.
 */
void cpu_model_prepare(CpuModel *model);

/* Accepts NULL. */
void cpu_model_free(CpuModel *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CpuModel, cpu_model_free)

/* The hardware id (x86: APIC id) that the topology gives to a vCPU. */
uint32_t cpu_model_hardware_id(const CpuModel *model, unsigned index);

/* Calls fn for every feature that -cpu knows: does the guest see it? */
typedef void (*CpuFeatureFn)(void *opaque, const char *name, bool on);
bool cpu_model_list_features(CpuModel *model, CpuFeatureFn fn, void *opaque, GError **error);

/* The names that -cpu knows, NULL-terminated. */
const char *const *cpu_model_names(void);
const char *const *cpu_model_feature_names(void);

#endif
