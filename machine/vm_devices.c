/* SPDX-License-Identifier: Apache-2.0 */
/* What the VM lends to its devices: back ends by id, I/O loops, doorbells, ways to ask for things. */
#include "devices/platform/pvpanic.h"
#include "devices/platform/vmgenid.h"
#include "machine/objects.h"
#include "machine/vm.h"
#include "util/error.h"
#include "util/log.h"

#include <json-c/json_object.h>

static BlockBackend *take_drive(void *opaque, const char *id, const char *user, GError **error)
{
    const Vm *vm = opaque;

    return backends_take_drive(vm->backends, id, user, error);
}

static bool find_rng(void *opaque, const char *id, char **ret_filename, GError **error)
{
    const Vm *vm = opaque;
    const PropBag *object = vm_config_find(vm->config->objects, id);
    const ObjectType *type = object ? object_type_find(prop_bag_type(object), error) : NULL;
    RngConfig rng;

    if (!object) {
        return fail(error, VMM_ERROR_CONFIG, "there is no object '%s'", id);
    }
    if (!type) {
        return false;
    }
    if (type->family != OBJECT_RNG) {
        return fail(error, VMM_ERROR_CONFIG, "object '%s' is a %s, not a source of random numbers",
                    id, type->name);
    }
    if (!rng_parse(object, &rng, error)) {
        return false;
    }
    *ret_filename = g_strdup(rng.filename);
    rng_clear(&rng);
    return true;
}

static Loop *find_iothread(void *opaque, const char *id, GError **error)
{
    const Vm *vm = opaque;

    return backends_find_iothread(vm->backends, id, error);
}

static void guest_exit(void *opaque, uint32_t status)
{
    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_EXIT,
                                    .from_guest = true,
                                    .reason = "guest-shutdown",
                                    .exit_status = (int)status});
}

/* A guest whose crash kernel takes over is not stopped: that kernel wants to save the dump. */
static void guest_report(void *opaque, uint32_t bit)
{
    const Vm *vm = opaque;

    if (bit == PVPANIC_CRASHLOADED) {
        json_object *data = json_object_new_object();

        json_object_object_add(data, "action", json_object_new_string("run"));
        event_raise(vm->events, "GUEST_CRASHLOADED", data);
        return;
    }
    vm_request(opaque, &(VmRequest){.kind = VM_REQUEST_PANIC,
                                    .from_guest = true,
                                    .reason = "guest-panic",
                                    .text = "the guest's kernel panicked"});
}

static void expect_serving(void *opaque)
{
    const Vm *vm = opaque;

    backends_expect_loop(vm->backends);
}

static Loop *serving_loop(void *opaque, VirtioDevice *dev)
{
    const Vm *vm = opaque;

    (void)dev;
    return backends_shared_loop(vm->backends);
}

typedef struct DoorbellRequest {
    Vm *vm;
    VirtioDevice *dev;
    unsigned queue;
    int fd;
} DoorbellRequest;

/* A queue works without its doorbell too, only slower: the log is the place for a failure. */
static void register_doorbell(void *opaque)
{
    g_autofree DoorbellRequest *request = opaque;
    Vm *vm = request->vm;
    g_autoptr(GError) error = NULL;
    IoEventFd doorbell;

    if (vm->machine_ops->doorbell(vm, request->dev, request->queue, &doorbell)) {
        doorbell.fd = request->fd;
        if (!hypervisor_set_ioeventfd(vm->hypervisor, &doorbell, /* assign= */ true, &error)) {
            log_line(LOG_LEVEL_WARNING, "device %s: %s", request->dev->base.id, error->message);
        }
    }
}

static void request_ioeventfd(void *opaque, VirtioDevice *dev, unsigned queue, int fd)
{
    Vm *vm = opaque;
    DoorbellRequest *request = g_new(DoorbellRequest, 1);

    *request = (DoorbellRequest){.vm = vm, .dev = dev, .queue = queue, .fd = fd};
    loop_post(vm->loop, register_doorbell, request);
}

typedef struct TappedWire {
    Vm *vm;
    IrqLine wire;
    bool high;
} TappedWire;

static void set_tapped(void *opaque, unsigned pin, bool high)
{
    TappedWire *tapped = opaque;
    const IrqTap *tap = &tapped->vm->irq_tap;

    if (tap->seen && high != tapped->high) {
        tap->seen(tap->opaque, pin, high);
    }
    tapped->high = high;
    irq_set(&tapped->wire, high);
}

IrqLine vm_wire(Vm *vm, IrqLine wire, unsigned line)
{
    TappedWire *tapped;

    if (vm->config->accel != ACCEL_QTEST) {
        return wire;
    }
    tapped = g_new0(TappedWire, 1);
    *tapped = (TappedWire){.vm = vm, .wire = wire};
    g_ptr_array_add(vm->tapped, tapped);
    return (IrqLine){.set = set_tapped, .opaque = tapped, .pin = line};
}

void vm_lend_to_devices(Vm *vm)
{
    vm->virtio_host =
        (VirtioHost){.opaque = vm, .expect_serving = expect_serving, .serving_loop = serving_loop};
    if (vm->machine_ops->doorbell) {
        vm->virtio_host.request_ioeventfd = request_ioeventfd;
    }
    vm->device_context = (DeviceContext){
        .memory = vm->memory,
        .ports = vm->ports,
        .mmio = vm->mmio,
        .loop = vm->loop,
        .fd_sets = vm->fd_sets,
        .virtio_host = &vm->virtio_host,
        .opaque = vm,
        .take_drive = take_drive,
        .find_rng = find_rng,
        .find_iothread = find_iothread,
        .exit = {guest_exit, vm},
        .report = {guest_report, vm},
    };
}

bool vm_generation_id(const Vm *vm, char ret_text[TEXT_UUID_SIZE])
{
    for (guint i = 0; i < vm->devices->len; i++) {
        const Device *dev = vm->devices->pdata[i];
        uint8_t guid[VMGENID_BYTES];

        if (dev->ops == &vmgenid_ops) {
            vmgenid_get(dev, guid);
            text_format_uuid(guid, ret_text);
            return true;
        }
    }
    return false;
}
