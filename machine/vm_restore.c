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
#include "machine/sandbox.h"
#include "machine/template_config.h"
#include "machine/vm.h"
#include "machine/vm_migration.h"
#include "machine/vm_record.h"
#include "migration/uri.h"
#include "migration/vmstate.h"
#include "util/error.h"

#include <inttypes.h>
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

/* A stream from a stranger fills no more of the host than the VM that it describes. */
static bool check_memory(const TemplateReader *reader, uint64_t size, GError **error)
{
    uint64_t bytes = template_reader_memory_bytes(reader);

    return bytes <= size || fail(error, VMM_ERROR_WIRE,
                                 "the template holds %" PRIu64 " bytes of memory, its VM has "
                                 "%" PRIu64,
                                 bytes, size);
}

static bool take_config(VmConfig *config, const TemplateReader *reader, GError **error)
{
    json_object *saved = read_config(reader, error);
    bool ok = saved && template_config_take(config, saved, error);

    json_object_put(saved);
    return ok;
}

/* There is no VM yet that anybody could wait for or ask, and no sandbox. */
static TemplateReader *read_stream(VmConfig *config, const MigrationUri *uri, GError **error)
{
    const ChannelHost host = {.may_spawn = true};
    g_autoptr(Channel) stream = channel_open(uri, CHANNEL_READ, &host, error);
    g_autoptr(TemplateReader) reader = stream ? template_reader_begin(stream, error) : NULL;

    return reader && take_config(config, reader, error) &&
                   check_memory(reader, config->memory.size, error) &&
                   template_reader_receive(reader, stream, error)
               ? g_steal_pointer(&reader)
               : NULL;
}

static TemplateReader *read_folder(VmConfig *config, const MigrationUri *uri, GError **error)
{
    g_autoptr(TemplateReader) reader = template_reader_open(uri->text, error);

    return reader && take_config(config, reader, error) ? g_steal_pointer(&reader) : NULL;
}

/* Of -incoming; NULL without an error if there is none, or not yet. */
static MigrationUri *incoming_uri(const VmConfig *config, GError **error)
{
    const char *text = config->incoming.uri;
    const PropBag *options = config->incoming.options;
    const char *offset = options ? prop_bag_get(options, "offset") : NULL;
    g_autofree char *whole = NULL;
    MigrationUri *uri;

    if (!text || strcmp(text, "defer") == 0) {
        return NULL;
    }
    whole = g_strconcat(text, offset ? ",offset=" : NULL, offset, NULL);
    uri = migration_uri_parse(whole, error);
    if (!uri) {
        g_prefix_error(error, "-incoming: ");
    }
    return uri;
}

bool vm_open_incoming(VmConfig *config, TemplateReader **ret_reader, GError **error)
{
    GError *failure = NULL;
    g_autoptr(MigrationUri) uri = incoming_uri(config, &failure);

    *ret_reader = NULL;
    if (failure) {
        g_propagate_error(error, failure);
        return false;
    }
    if (!uri) {
        return true;
    }
    if (migration_uri_is_folder(uri, /* single_file= */ false)) {
        *ret_reader = read_folder(config, uri, error);
    } else if (template_config_is_wanted(config)) {
        *ret_reader = read_stream(config, uri, error);
    } else {
        return true;
    }
    if (!*ret_reader) {
        g_prefix_error(error, "restore %s: ", config->incoming.uri);
    }
    return *ret_reader != NULL;
}

ChannelHost vm_stream_host(const Vm *vm)
{
    return (ChannelHost){
        .fd_sets = vm->fd_sets,
        .may_spawn = !sandbox_is_wanted(vm->config),
    };
}

bool vm_open_incoming_stream(const Vm *vm, Channel **ret_stream, GError **error)
{
    GError *failure = NULL;
    g_autoptr(MigrationUri) uri = incoming_uri(vm->config, &failure);
    ChannelHost host = vm_stream_host(vm);

    *ret_stream = NULL;
    if (uri) {
        host.may_spawn = true; /* still */
        *ret_stream = channel_open(uri, CHANNEL_READ, &host, &failure);
    }
    if (failure) {
        g_propagate_prefixed_error(error, failure, "-incoming: ");
        return false;
    }
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

bool vm_fits(void *opaque, const TemplateReader *reader, GError **error)
{
    const Vm *vm = opaque;

    return check_in_place(vm, reader, error) &&
           check_memory(reader, vm->config->memory.size, error);
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
           hypervisor_settle(vm->hypervisor, error) && load_vcpus(vm, reader, error) &&
           tell_devices(vm, ret_record, error) && guest_mem_check(vm->memory, error);
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
