/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's half of a load.  The VM was built as for a boot; instead of a kernel it gets state.
 *
 *     RAM        shows the template already, or is made to (in place)
 *     devices    in the order they were built
 *     time       the guest's goes on from here
 *     vCPUs      all at once, each on its own thread, by that time
 *
 * Nothing of the template is trusted: vmstate judges each value, and a section too many, too few
 * or twice fails the load.  A VM whose load failed can be loaded again.
 */
#include "hypervisor/vcpu_arch.h"
#include "hypervisor/vm_state.h"
#include "machine/ram.h"
#include "machine/template_config.h"
#include "machine/vm.h"
#include "machine/vm_migration.h"
#include "machine/vm_record.h"
#include "migration/uri.h"
#include "migration/vmstate.h"
#include "util/error.h"

#include <json-c/json.h>
#include <string.h>

/* ---- what -incoming says -------------------------------------------------------------------- */

static const char *incoming_word(const VmConfig *config, const char *key)
{
    const PropBag *options = config->incoming.options;
    const char *word = options ? prop_bag_get(options, key) : NULL;

    return word ? word : "auto";
}

IncomingMemory vm_incoming_memory(const VmConfig *config)
{
    static const char *const words[] = {
        [INCOMING_MEMORY_MAP] = "map",
        [INCOMING_MEMORY_COPY] = "copy",
        [INCOMING_MEMORY_LAZY] = "lazy",
    };
    const char *word = incoming_word(config, "memory");

    for (unsigned i = INCOMING_MEMORY_MAP; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(words[i], word) == 0) {
            return (IncomingMemory)i;
        }
    }
    return INCOMING_MEMORY_AUTO;
}

bool vm_incoming_fill(const VmConfig *config)
{
    return strcmp(incoming_word(config, "fill"), "off") != 0;
}

static ClockPolicy clock_policy(const VmConfig *config)
{
    return strcmp(incoming_word(config, "clock"), "freeze") == 0 ? CLOCK_FREEZE : CLOCK_CATCH_UP;
}

static bool runs_afterwards(const VmConfig *config, const VmRecord *record)
{
    const char *resume = incoming_word(config, "resume");

    if (strcmp(resume, "auto") == 0) {
        return record->running && !config->start_paused;
    }
    return strcmp(resume, "on") == 0;
}

static json_object *read_config(const TemplateReader *reader, GError **error)
{
    size_t len;
    const char *text = template_reader_section(reader, TEMPLATE_SECTION_CONFIG, SECTION_VM, &len);
    g_autofree char *copy = text ? g_strndup(text, len) : NULL;
    json_object *json = copy ? json_tokener_parse(copy) : NULL;

    if (!json) {
        fail(error, VMM_ERROR_WIRE, "the template has no configuration that can be read");
    }
    return json;
}

bool vm_open_incoming(VmConfig *config, TemplateReader **ret_reader, GError **error)
{
    g_autoptr(TemplateReader) reader = NULL;
    json_object *saved;
    MigrationUri uri;
    bool ok;

    *ret_reader = NULL;
    if (!config->incoming.uri || strcmp(config->incoming.uri, "defer") == 0) {
        return true;
    }
    if (!migration_uri_parse(config->incoming.uri, &uri, error)) {
        g_prefix_error(error, "-incoming: ");
        return false;
    }
    reader = template_reader_open(uri.path, error);
    saved = reader ? read_config(reader, error) : NULL;
    ok = saved && template_config_take(config, saved, error);
    json_object_put(saved);
    if (!ok) {
        g_prefix_error(error, "restore %s: ", uri.path);
        return false;
    }
    *ret_reader = g_steal_pointer(&reader);
    return true;
}

/* ---- sections ------------------------------------------------------------------------------- */

static bool load_object(const TemplateReader *reader, TemplateSectionKind kind, const char *name,
                        const VmStateDesc *desc, void *object, GError **error)
{
    size_t len;
    const void *data = template_reader_section(reader, kind, name, &len);

    if (!data) {
        return fail(error, VMM_ERROR_WIRE, "the template has no state for it");
    }
    return vmstate_load(desc, object, data, len, error);
}

/* As many of each kind as the VM has: with unique names, none is left over. */
static bool check_counts(const Vm *vm, const TemplateReader *reader, GError **error)
{
    unsigned devices = 0, vcpus = 0;

    for (size_t i = 0; i < template_reader_num_sections(reader); i++) {
        TemplateSectionKind kind = template_reader_section_at(reader, i)->kind;

        devices += kind == TEMPLATE_SECTION_DEVICE;
        vcpus += kind == TEMPLATE_SECTION_VCPU;
    }
    if (devices != vm->devices->len) {
        return fail(error, VMM_ERROR_WIRE, "the template has %u devices, the VM %u", devices,
                    vm->devices->len);
    }
    if (vcpus != vcpus_count(vm->vcpus)) {
        return fail(error, VMM_ERROR_WIRE, "the template has %u vCPUs, the VM %u", vcpus,
                    vcpus_count(vm->vcpus));
    }
    return true;
}

/* ---- RAM of a VM that was built first ------------------------------------------------------- */

static bool load_ram_in_place(Vm *vm, const TemplateReader *reader, GError **error)
{
    const RamSources sources = vm_ram_sources(vm, reader);

    return (!vm->ever_reset || guest_mem_clear(vm->memory, error)) &&
           ram_load(&sources, vm->memory, error);
}

/* ---- devices and vCPUs ---------------------------------------------------------------------- */

static bool load_devices(Vm *vm, const TemplateReader *reader, bool in_place, GError **error)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        Device *dev = vm->devices->pdata[i];

        if (!dev->ops->vmstate) {
            return fail(error, VMM_ERROR_STATE, "device %s: %s", dev->id,
                        dev->ops->why_unmigratable ? dev->ops->why_unmigratable
                                                   : "does not say how it is loaded");
        }
        /* One that has waited may have taken input that is not the template's. */
        if (in_place && !device_drain(dev, error)) {
            return false;
        }
        device_reset(dev);
        if (!load_object(reader, TEMPLATE_SECTION_DEVICE, dev->id, dev->ops->vmstate, dev, error)) {
            g_prefix_error(error, "device %s: ", dev->id);
            return false;
        }
    }
    return true;
}

typedef struct VcpuLoad {
    Vm *vm;
    VcpuState **states;
} VcpuLoad;

static bool load_vcpu(Vcpu *vcpu, void *opaque, GError **error)
{
    const VcpuLoad *load = opaque;

    return vcpu_arch_load(vcpu, load->vm->cpu_model, load->states[vcpu->index], error);
}

static bool read_vcpu_states(const TemplateReader *reader, VcpuState **states, unsigned count,
                             GError **error)
{
    for (unsigned i = 0; i < count; i++) {
        char name[SECTION_VCPU_SIZE];

        section_vcpu_name(i, name);
        if (!load_object(reader, TEMPLATE_SECTION_VCPU, name, &vcpu_state_vmstate, states[i],
                         error)) {
            g_prefix_error(error, "vCPU %u: ", i);
            return false;
        }
    }
    return true;
}

static bool load_vcpus(Vm *vm, const TemplateReader *reader, GError **error)
{
    unsigned count = vcpus_count(vm->vcpus);
    g_autofree VcpuState **states = g_new(VcpuState *, count);
    VcpuLoad load = {.vm = vm, .states = states};
    bool ok;

    for (unsigned i = 0; i < count; i++) {
        states[i] = vcpu_state_new();
    }
    ok = read_vcpu_states(reader, states, count, error) &&
         vcpus_each(vm->vcpus, load_vcpu, &load, error);
    for (unsigned i = 0; i < count; i++) {
        vcpu_state_free(states[i]);
    }
    return ok;
}

static bool load_time(Vm *vm, const TemplateReader *reader, GError **error)
{
    g_autoptr(VmState) state = vm_state_new();

    if (!load_object(reader, TEMPLATE_SECTION_VM, SECTION_KVM, &vm_state_vmstate, state, error) ||
        !vm_state_load(vm->hypervisor, state, clock_policy(vm->config), error)) {
        g_prefix_error(error, "section %s: ", SECTION_KVM);
        return false;
    }
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static bool load_record(Vm *vm, const TemplateReader *reader, VmRecord *ret_record, GError **error)
{
    if (!load_object(reader, TEMPLATE_SECTION_MACHINE, SECTION_VM, &vm_record_vmstate, ret_record,
                     error)) {
        g_prefix_error(error, "section %s: ", SECTION_VM);
        return false;
    }
    return guest_clock_set_ns(vm->clock, (int64_t)ret_record->clock_ns, error);
}

static bool check_in_place(const Vm *vm, const TemplateReader *reader, GError **error)
{
    json_object *saved = read_config(reader, error);
    bool ok = saved && template_config_check(vm->config, saved, error);

    json_object_put(saved);
    return ok;
}

/* Whoever restores a template may do so again: each of them has to become somebody else. */
static bool tell_devices(Vm *vm, const VmRecord *record, GError **error)
{
    int64_t away = g_get_real_time() - (int64_t)record->saved_at_us;
    const DeviceRestore restore = {
        .cloned = true,
        .hidden_ns = clock_policy(vm->config) == CLOCK_FREEZE ? MAX(away, 0) * 1000 : 0,
    };

    for (guint i = 0; i < vm->devices->len; i++) {
        if (!device_restored(vm->devices->pdata[i], &restore, error)) {
            return false;
        }
    }
    return true;
}

static bool load_everything(Vm *vm, const TemplateReader *reader, bool in_place,
                            VmRecord *ret_record, GError **error)
{
    if (!check_counts(vm, reader, error) || (in_place && (!check_in_place(vm, reader, error) ||
                                                          !load_ram_in_place(vm, reader, error)))) {
        return false;
    }
    /* From here on the VM is not fresh any more, even if it fails. */
    vm->ever_reset = true;
    return load_record(vm, reader, ret_record, error) &&
           load_devices(vm, reader, in_place, error) && load_time(vm, reader, error) &&
           load_vcpus(vm, reader, error) && tell_devices(vm, ret_record, error) &&
           guest_mem_check(vm->memory, error);
}

bool vm_load(void *opaque, const TemplateReader *reader, bool in_place, GError **error)
{
    Vm *vm = opaque;
    VmRecord record = {0};

    if (vm->state != RUN_STATE_INMIGRATE) {
        return fail(error, VMM_ERROR_STATE, "the VM does not wait for a template");
    }
    if (!load_everything(vm, reader, in_place, &record, error)) {
        return false;
    }
    vm_leave_load(vm, runs_afterwards(vm->config, &record));
    return true;
}
