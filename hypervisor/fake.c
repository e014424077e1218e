/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/fake.h"

#include "util/bytes.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

#define FAKE_SLOTS  64
#define FAKE_VCPUS  256
#define FAKE_POINTS 4

typedef struct FakeVcpu {
    /* set before the vCPU runs */
    const FakeExit *script;
    size_t script_len;

    /* vCPU thread only */
    bool check_read; /* the last exit was a read: its answer is in the run structure now */
    uint8_t *registers;

    atomic_size_t position;
} FakeVcpu;

typedef struct Fake {
    Hypervisor base;
    FakeVcpu vcpus[FAKE_VCPUS];
    atomic_uint wrong_reads;
    atomic_uint given_back;

    Mutex lock;
    /* guarded by lock */
    MemorySlot slots[FAKE_SLOTS];
    GArray *messages;
    GArray *routes;
    GArray *ioeventfds;
    unsigned route_updates;
} Fake;

/* One page of kvm_run and one for the data of port exits. */
typedef struct FakeRun {
    struct kvm_run run;
    uint8_t data[8];
} FakeRun;

static void fake_free(Hypervisor *hv)
{
    Fake *fake = (Fake *)hv;

    g_array_unref(fake->messages);
    g_array_unref(fake->routes);
    g_array_unref(fake->ioeventfds);
    mutex_fini(&fake->lock);
    g_free(fake);
}

static bool fake_set_memory_slot(Hypervisor *hv, const MemorySlot *slot, GError **error)
{
    Fake *fake = (Fake *)hv;

    if (slot->index >= FAKE_SLOTS) {
        return fail(error, VMM_ERROR_HOST, "memory slot %u: the fake has %d", slot->index,
                    FAKE_SLOTS);
    }
    mutex_lock(&fake->lock);
    fake->slots[slot->index] = *slot;
    mutex_unlock(&fake->lock);
    return true;
}

static bool fake_get_dirty_log(Hypervisor *hv, unsigned slot, void *ret_bitmap, GError **error)
{
    (void)hv;
    (void)ret_bitmap;
    return fail(error, VMM_ERROR_HOST, "memory slot %u: the fake keeps no dirty log", slot);
}

static size_t registers_bytes(void)
{
    return debug_register_offset(&debug_target, debug_target.num_registers);
}

static bool fake_create_vcpu(Hypervisor *hv, unsigned index, Vcpu *vcpu, GError **error)
{
    Fake *fake = (Fake *)hv;

    if (index >= FAKE_VCPUS) {
        return fail(error, VMM_ERROR_HOST, "the fake has %d vCPUs", FAKE_VCPUS);
    }
    vcpu->backend = &fake->vcpus[index];
    fake->vcpus[index].registers = g_malloc0(registers_bytes());
    vcpu->run = (struct kvm_run *)g_new0(FakeRun, 1);
    return true;
}

static void fake_free_vcpu(Vcpu *vcpu)
{
    FakeVcpu *v = vcpu->backend;

    if (v) {
        g_free(g_steal_pointer(&v->registers));
    }
    g_free(vcpu->run);
}

static void check_read(Fake *fake, FakeVcpu *v, const struct kvm_run *run)
{
    const FakeExit *last = &v->script[atomic_load(&v->position) - 1];
    const uint8_t *data =
        last->reason == KVM_EXIT_IO ? (const uint8_t *)run + run->io.data_offset : run->mmio.data;

    v->check_read = false;
    if (load_le(data, last->size) != last->value) {
        atomic_fetch_add(&fake->wrong_reads, 1);
    }
}

static void present_exit(struct kvm_run *run, const FakeExit *exit)
{
    run->exit_reason = exit->reason;
    switch (exit->reason) {
    case KVM_EXIT_IO:
        run->io.direction = exit->is_write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
        run->io.size = (uint8_t)exit->size;
        run->io.port = (uint16_t)exit->address;
        run->io.count = 1;
        run->io.data_offset = offsetof(FakeRun, data);
        store_le((uint8_t *)run + run->io.data_offset, exit->size, exit->value);
        break;
    case KVM_EXIT_MMIO:
        run->mmio.phys_addr = exit->address;
        run->mmio.len = exit->size;
        run->mmio.is_write = exit->is_write;
        store_le(run->mmio.data, exit->size, exit->value);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        run->internal.suberror = exit->detail;
        break;
    case KVM_EXIT_IOAPIC_EOI:
        run->eoi.vector = (uint8_t)exit->detail;
        break;
    case KVM_EXIT_SYSTEM_EVENT:
        run->system_event.type = exit->detail;
        break;
    default:
        break;
    }
}

/* ppoll on nothing: ends by the kick's signal.  immediate_exit is looked at as KVM does. */
static int idle(struct kvm_run *run)
{
    const struct timespec slice = {.tv_nsec = 1000000};

    while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST)) {
        if (ppoll(NULL, 0, &slice, NULL) < 0 && errno == EINTR) {
            break;
        }
    }
    return -EINTR;
}

static int fake_run(Vcpu *vcpu)
{
    Fake *fake = (Fake *)vcpu->hypervisor;
    FakeVcpu *v = vcpu->backend;
    size_t position = atomic_load(&v->position);

    if (v->check_read) {
        check_read(fake, v, vcpu->run);
    }
    if (__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST)) {
        return -EINTR;
    }
    if (position == v->script_len) {
        return idle(vcpu->run);
    }

    const FakeExit *exit = &v->script[position];

    atomic_store(&v->position, position + 1);
    if (exit->run_result != 0) {
        return exit->run_result;
    }
    present_exit(vcpu->run, exit);
    v->check_read =
        !exit->is_write && (exit->reason == KVM_EXIT_IO || exit->reason == KVM_EXIT_MMIO);
    return 0;
}

static bool fake_signal_msi(Hypervisor *hv, const MsiMessage *msi, GError **error)
{
    Fake *fake = (Fake *)hv;

    (void)error;
    mutex_lock(&fake->lock);
    g_array_append_vals(fake->messages, msi, 1);
    mutex_unlock(&fake->lock);
    return true;
}

static bool fake_set_gsi_routes(Hypervisor *hv, const GsiRoute *routes, size_t count,
                                GError **error)
{
    Fake *fake = (Fake *)hv;

    (void)error;
    mutex_lock(&fake->lock);
    g_array_set_size(fake->routes, 0);
    g_array_append_vals(fake->routes, routes, (guint)count);
    fake->route_updates++;
    mutex_unlock(&fake->lock);
    return true;
}

static bool fake_set_irqfd(Hypervisor *hv, unsigned gsi, int fd, bool assign, GError **error)
{
    (void)hv;
    (void)gsi;
    (void)fd;
    (void)assign;
    (void)error;
    return true;
}

static bool fake_set_ioeventfd(Hypervisor *hv, const IoEventFd *io, bool assign, GError **error)
{
    Fake *fake = (Fake *)hv;
    bool ok = assign;

    mutex_lock(&fake->lock);
    if (assign) {
        g_array_append_vals(fake->ioeventfds, io, 1);
    }
    for (guint i = 0; !assign && i < fake->ioeventfds->len; i++) {
        const IoEventFd *have = &g_array_index(fake->ioeventfds, IoEventFd, i);

        if (have->fd == io->fd && have->address == io->address && have->data == io->data) {
            g_array_remove_index(fake->ioeventfds, i);
            ok = true;
            break;
        }
    }
    mutex_unlock(&fake->lock);
    return ok || fail(error, VMM_ERROR_HOST, "there is no such ioeventfd");
}

/* ---- for a debugger ---- */

static bool fake_check(Hypervisor *hv, const DebugSettings *settings, GError **error)
{
    (void)hv;
    return settings->num_points <= FAKE_POINTS ||
           fail(error, VMM_ERROR_HOST, "the fake watches %d addresses", FAKE_POINTS);
}

static bool fake_apply(Vcpu *vcpu, const DebugSettings *settings, GError **error)
{
    (void)error;
    vcpu->debug = *settings;
    return true;
}

static bool fake_read_registers(Vcpu *vcpu, uint8_t *ret_block, GError **error)
{
    const FakeVcpu *v = vcpu->backend;

    (void)error;
    memcpy(ret_block, v->registers, registers_bytes());
    return true;
}

static bool fake_write_registers(Vcpu *vcpu, const uint8_t *block, GError **error)
{
    FakeVcpu *v = vcpu->backend;

    (void)error;
    memcpy(v->registers, block, registers_bytes());
    return true;
}

/* Register N holds N. */
static bool fake_read_numbered(Vcpu *vcpu, uint64_t number, uint8_t *ret_value, size_t *ret_bytes,
                               GError **error)
{
    (void)vcpu;
    if (number > UINT32_MAX) {
        return fail(error, VMM_ERROR_CONFIG, "the fake has no register 0x%" PRIx64, number);
    }
    store_le64(ret_value, number);
    *ret_bytes = sizeof(number);
    return true;
}

static bool fake_translate(Vcpu *vcpu, const GuestMemory *mem, uint64_t address, uint64_t *ret_gpa)
{
    (void)vcpu;
    (void)mem;
    *ret_gpa = address >> 63 ? address & FAKE_VIRTUAL_MASK : address;
    return *ret_gpa < FAKE_VIRTUAL_END;
}

static void fake_explain(Vcpu *vcpu, DebugStop *ret_stop)
{
    const FakeVcpu *v = vcpu->backend;

    *ret_stop = v->script[atomic_load(&v->position) - 1].stop;
}

static bool fake_give_back(Vcpu *vcpu, GError **error)
{
    (void)error;
    atomic_fetch_add(&((Fake *)vcpu->hypervisor)->given_back, 1);
    return true;
}

static const DebugOps fake_debug_ops = {
    .check = fake_check,
    .apply = fake_apply,
    .read_registers = fake_read_registers,
    .write_registers = fake_write_registers,
    .read_numbered = fake_read_numbered,
    .translate = fake_translate,
    .explain = fake_explain,
    .give_back = fake_give_back,
};

static const HypervisorOps fake_ops = {
    .name = "qtest",
    .debug = &fake_debug_ops,
    .free = fake_free,
    .set_memory_slot = fake_set_memory_slot,
    .get_dirty_log = fake_get_dirty_log,
    .create_vcpu = fake_create_vcpu,
    .free_vcpu = fake_free_vcpu,
    .run = fake_run,
    .signal_msi = fake_signal_msi,
    .set_gsi_routes = fake_set_gsi_routes,
    .set_irqfd = fake_set_irqfd,
    .set_ioeventfd = fake_set_ioeventfd,
};

Hypervisor *fake_hypervisor_new(void)
{
    Fake *fake = g_new0(Fake, 1);

    fake->base.ops = &fake_ops;
    fake->messages = g_array_new(FALSE, FALSE, sizeof(MsiMessage));
    fake->routes = g_array_new(FALSE, FALSE, sizeof(GsiRoute));
    fake->ioeventfds = g_array_new(FALSE, FALSE, sizeof(IoEventFd));
    mutex_init(&fake->lock);
    return &fake->base;
}

void fake_set_script(Hypervisor *hv, unsigned vcpu, const FakeExit *script, size_t count)
{
    FakeVcpu *v = &((Fake *)hv)->vcpus[vcpu];

    v->script = script;
    v->script_len = count;
}

size_t fake_script_position(Hypervisor *hv, unsigned vcpu)
{
    return atomic_load(&((Fake *)hv)->vcpus[vcpu].position);
}

unsigned fake_wrong_reads(Hypervisor *hv)
{
    return atomic_load(&((Fake *)hv)->wrong_reads);
}

unsigned fake_given_back(Hypervisor *hv)
{
    return atomic_load(&((Fake *)hv)->given_back);
}

const MemorySlot *fake_slot(Hypervisor *hv, unsigned index)
{
    return &((Fake *)hv)->slots[index];
}

size_t fake_num_messages(Hypervisor *hv)
{
    Fake *fake = (Fake *)hv;

    mutex_lock(&fake->lock);

    size_t count = fake->messages->len;

    mutex_unlock(&fake->lock);
    return count;
}

MsiMessage fake_message(Hypervisor *hv, size_t index)
{
    return g_array_index(((Fake *)hv)->messages, MsiMessage, index);
}

size_t fake_num_routes(Hypervisor *hv)
{
    return ((Fake *)hv)->routes->len;
}

GsiRoute fake_route(Hypervisor *hv, size_t index)
{
    return g_array_index(((Fake *)hv)->routes, GsiRoute, index);
}

unsigned fake_route_updates(Hypervisor *hv)
{
    return ((Fake *)hv)->route_updates;
}

size_t fake_num_ioeventfds(Hypervisor *hv)
{
    return ((Fake *)hv)->ioeventfds->len;
}
