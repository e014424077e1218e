/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/kvm.h"

#include "hypervisor/vcpu.h"
#include "util/error.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Required everywhere.  Optional capabilities are asked for where they are used. */
static const KvmCapability required[] = {
    {KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY", "guest RAM cannot be given to the guest"},
    {KVM_CAP_IMMEDIATE_EXIT, 1, "KVM_CAP_IMMEDIATE_EXIT", "vCPUs cannot be stopped without a race"},
    {KVM_CAP_SIGNAL_MSI, 1, "KVM_CAP_SIGNAL_MSI", "devices cannot interrupt the guest"},
    {KVM_CAP_IOEVENTFD, 1, "KVM_CAP_IOEVENTFD", "queue notifications would stop the guest"},
    {KVM_CAP_IRQFD, 1, "KVM_CAP_IRQFD", "kernel back ends cannot interrupt the guest"},
    {KVM_CAP_MP_STATE, 1, "KVM_CAP_MP_STATE", "application processors cannot be set up"},
    {KVM_CAP_READONLY_MEM, 1, "KVM_CAP_READONLY_MEM", "memory cannot be shown read-only"},
};

int kvm_ioctl(int fd, unsigned long request, void *argument)
{
    int result;

    do {
        result = ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
    int result;

    do {
        result = ioctl(fd, request, value);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

static bool check_capabilities(const Kvm *kvm, const KvmCapability *table, size_t count,
                               GError **error)
{
    for (size_t i = 0; i < count; i++) {
        int have = kvm_ioctl_value(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)table[i].number);

        if (have < table[i].at_least) {
            return fail(error, VMM_ERROR_HOST, "this host's KVM lacks %s: without it %s",
                        table[i].name, table[i].reason);
        }
    }
    return true;
}

static bool open_device(Kvm *kvm, GError **error)
{
    const char *path = kvm->device;
    int version;

    kvm->fd = open(path, O_RDWR | O_CLOEXEC);
    if (kvm->fd < 0) {
        int err = errno;
        const char *advice = err == ENOENT || err == ENODEV
                                 ? "; is virtualization enabled, and the kvm module loaded?"
                             : err == EACCES || err == EPERM ? "; is this user in the group 'kvm'?"
                                                             : "";

        return fail(error, VMM_ERROR_HOST, "cannot open %s: %s%s", path, error_words(err), advice);
    }
    version = kvm_ioctl_value(kvm->fd, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        return fail(error, VMM_ERROR_HOST, "%s speaks KVM API version %d, expected %d", path,
                    version, KVM_API_VERSION);
    }
    return true;
}

static bool create_vm(Kvm *kvm, GError **error)
{
    kvm->vm_fd = kvm_ioctl_value(kvm->fd, KVM_CREATE_VM, kvm_arch_vm_type(kvm));
    if (kvm->vm_fd < 0) {
        return fail_errno(error, -kvm->vm_fd, "KVM_CREATE_VM");
    }

    int bytes = kvm_ioctl_value(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);

    if (bytes < (int)sizeof(struct kvm_run)) {
        return fail(error, VMM_ERROR_HOST, "KVM_GET_VCPU_MMAP_SIZE answers %d", bytes);
    }
    kvm->run_bytes = (size_t)bytes;
    return true;
}

static void kvm_free(Hypervisor *hv)
{
    Kvm *kvm = kvm_of(hv);

    side_thread_free(hv->starter);
    fd_close(&kvm->vm_fd);
    fd_close(&kvm->fd);
    g_free(kvm);
}

static bool set_slot(Kvm *kvm, const MemorySlot *slot, GError **error)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->index,
        .flags = (slot->readonly ? KVM_MEM_READONLY : 0) |
                 (slot->log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = slot->gpa,
        .memory_size = slot->size,
        .userspace_addr = (uintptr_t)slot->hva,
    };
    int result = kvm_ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);

    if (result < 0) {
        return fail_errno(error, -result, "memory slot %u: 0x%llx bytes at guest address 0x%llx",
                          slot->index, (unsigned long long)slot->size,
                          (unsigned long long)slot->gpa);
    }
    return true;
}

typedef struct SlotJob {
    Kvm *kvm;
    MemorySlot slot;
} SlotJob;

static bool do_slot_job(void *opaque, GError **error)
{
    const SlotJob *job = opaque;

    return set_slot(job->kvm, &job->slot, error);
}

/* What KVM allocates for every page of a slot takes longer than a vCPU takes to be made. */
static bool kvm_set_memory_slot(Hypervisor *hv, const MemorySlot *slot, GError **error)
{
    Kvm *kvm = kvm_of(hv);
    SlotJob *job;

    if (kvm->settled) {
        return set_slot(kvm, slot, error);
    }
    job = g_new(SlotJob, 1);
    *job = (SlotJob){.kvm = kvm, .slot = *slot};
    kvm->last_slot = side_thread_do(hv->starter, do_slot_job, job, g_free);
    return true;
}

static bool kvm_get_dirty_log(Hypervisor *hv, unsigned slot, void *ret_bitmap, GError **error)
{
    struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = ret_bitmap};
    int result = kvm_ioctl(kvm_of(hv)->vm_fd, KVM_GET_DIRTY_LOG, &log);

    return result >= 0 || fail_errno(error, -result, "dirty log of memory slot %u", slot);
}

static bool kvm_create_vcpu(Hypervisor *hv, unsigned index, Vcpu *vcpu, GError **error)
{
    Kvm *kvm = kvm_of(hv);

    vcpu->fd = kvm_ioctl_value(kvm->vm_fd, KVM_CREATE_VCPU, index);
    if (vcpu->fd < 0) {
        return fail_errno(error, -vcpu->fd, "KVM_CREATE_VCPU");
    }
    vcpu->run = mmap(NULL, kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (vcpu->run == MAP_FAILED) {
        vcpu->run = NULL;
        return fail_errno(error, errno, "map its run structure");
    }
    return true;
}

static void kvm_free_vcpu(Vcpu *vcpu)
{
    if (vcpu->run) {
        munmap(vcpu->run, kvm_of(vcpu->hypervisor)->run_bytes);
    }
    fd_close(&vcpu->fd);
}

/* Not kvm_ioctl: a kick must come back as EINTR. */
static int kvm_run(Vcpu *vcpu)
{
    return ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

static bool kvm_signal_msi(Hypervisor *hv, const MsiMessage *msi, GError **error)
{
    struct kvm_msi message = {
        .address_lo = (uint32_t)msi->address,
        .address_hi = (uint32_t)(msi->address >> 32),
        .data = msi->data,
    };
    int result = kvm_ioctl(kvm_of(hv)->vm_fd, KVM_SIGNAL_MSI, &message);

    if (result < 0) {
        return fail_errno(error, -result, "interrupt message 0x%x to 0x%llx", msi->data,
                          (unsigned long long)msi->address);
    }
    return true;
}

static bool kvm_set_gsi_routes(Hypervisor *hv, const GsiRoute *routes, size_t count, GError **error)
{
    g_autofree struct kvm_irq_routing *table =
        g_malloc0(sizeof(*table) + count * sizeof(table->entries[0]));

    table->nr = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        table->entries[i] = (struct kvm_irq_routing_entry){
            .gsi = routes[i].gsi,
            .type = KVM_IRQ_ROUTING_MSI,
            .u.msi.address_lo = (uint32_t)routes[i].msi.address,
            .u.msi.address_hi = (uint32_t)(routes[i].msi.address >> 32),
            .u.msi.data = routes[i].msi.data,
        };
    }

    int result = kvm_ioctl(kvm_of(hv)->vm_fd, KVM_SET_GSI_ROUTING, table);

    return result >= 0 || fail_errno(error, -result, "route %zu interrupts", count);
}

static bool kvm_set_irqfd(Hypervisor *hv, unsigned gsi, int fd, bool assign, GError **error)
{
    struct kvm_irqfd irqfd = {
        .fd = (uint32_t)fd,
        .gsi = gsi,
        .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
    };
    int result = kvm_ioctl(kvm_of(hv)->vm_fd, KVM_IRQFD, &irqfd);

    return result >= 0 || fail_errno(error, -result, "irqfd on interrupt %u", gsi);
}

static bool kvm_set_ioeventfd(Hypervisor *hv, const IoEventFd *io, bool assign, GError **error)
{
    struct kvm_ioeventfd ioeventfd = {
        .datamatch = io->data,
        .addr = io->address,
        .len = io->size,
        .fd = io->fd,
        .flags = (io->match_data ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
                 (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };
    int result = kvm_ioctl(kvm_of(hv)->vm_fd, KVM_IOEVENTFD, &ioeventfd);

    return result >= 0 || fail_errno(error, -result, "ioeventfd at guest address 0x%llx",
                                     (unsigned long long)io->address);
}

static bool open_vm(void *opaque, GError **error)
{
    Kvm *kvm = opaque;

    return open_device(kvm, error) &&
           check_capabilities(kvm, required, G_N_ELEMENTS(required), error) &&
           check_capabilities(kvm, kvm_arch_capabilities, kvm_arch_num_capabilities, error) &&
           create_vm(kvm, error);
}

static bool kvm_init(Hypervisor *hv, unsigned ioapic_pins, GError **error)
{
    Kvm *kvm = kvm_of(hv);

    return side_thread_wait(hv->starter, kvm->opened, error) &&
           kvm_arch_init_vm(kvm, ioapic_pins, error);
}

static bool kvm_settle(Hypervisor *hv, GError **error)
{
    Kvm *kvm = kvm_of(hv);

    kvm->settled = true;
    return side_thread_wait(hv->starter, kvm->last_slot, error);
}

static const HypervisorOps kvm_ops = {
    .name = "kvm",
    .debug = &kvm_debug_ops,
    .free = kvm_free,
    .init = kvm_init,
    .settle = kvm_settle,
    .set_memory_slot = kvm_set_memory_slot,
    .get_dirty_log = kvm_get_dirty_log,
    .create_vcpu = kvm_create_vcpu,
    .free_vcpu = kvm_free_vcpu,
    .run = kvm_run,
    .signal_msi = kvm_signal_msi,
    .set_gsi_routes = kvm_set_gsi_routes,
    .set_irqfd = kvm_set_irqfd,
    .set_ioeventfd = kvm_set_ioeventfd,
};

bool hypervisor_is_kvm(const Hypervisor *hypervisor)
{
    return hypervisor->ops == &kvm_ops;
}

Hypervisor *kvm_new(const char *device, GError **error)
{
    Kvm *kvm = g_new0(Kvm, 1);
    g_autoptr(Hypervisor) hv = &kvm->base;

    kvm->base.ops = &kvm_ops;
    kvm->fd = -1;
    kvm->vm_fd = -1;
    kvm->device = device;
    kvm->base.starter = side_thread_new("kvm", error);
    if (!kvm->base.starter) {
        return NULL;
    }
    kvm->opened = side_thread_do(kvm->base.starter, open_vm, kvm, NULL);
    return g_steal_pointer(&hv);
}
