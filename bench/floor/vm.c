/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KVM calls of the floor in their fastest order, a step mark after each.  The interrupt chip
 * and anything else on the kernel's I/O bus comes after the memory slot: on some kernels a
 * registration before it makes the slot wait for a whole RCU grace period, five milliseconds.
 */
#include "bench/floor/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CPUID_BYTES        (sizeof(struct kvm_cpuid2) + FLOOR_CPUID_MAX * sizeof(struct kvm_cpuid_entry2))
#define SPLIT_IRQCHIP_PINS 24
#define DOORBELL_BASE      0xfeb00000u
#define DOORBELL_STRIDE    0x200u

typedef struct {
    int fd;
    struct kvm_run *run;
    pthread_t thread;
    bool done;
} Vcpu;

typedef struct {
    int kvm;
    int fd;
    uint8_t *ram;
    uint32_t entry;
    Vcpu vcpus[FLOOR_VCPUS_MAX];
    uint8_t cpuid[CPUID_BYTES] __attribute__((aligned(8))); /* struct kvm_cpuid2 and its entries */
} Vm;

static bool host_cpuid(Vm *vm)
{
    struct kvm_cpuid2 ask = {.nent = FLOOR_CPUID_MAX};

    memcpy(vm->cpuid, &ask, sizeof(ask));
    return ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, vm->cpuid) == 0 ||
           floor_fail("KVM_GET_SUPPORTED_CPUID");
}

static bool saved_cpuid(Vm *vm, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, vm->cpuid, CPUID_BYTES);

    if (got != (ssize_t)CPUID_BYTES) {
        return floor_fail(path);
    }
    close(fd);
    return true;
}

bool vm_save_cpuid(const char *path)
{
    static Vm vm;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0 || vm.kvm < 0) {
        return floor_fail(fd < 0 ? path : "/dev/kvm");
    }
    return host_cpuid(&vm) &&
           (write(fd, vm.cpuid, CPUID_BYTES) == (ssize_t)CPUID_BYTES || floor_fail(path));
}

static bool make_vm(Vm *vm, Steps *steps)
{
    vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->kvm < 0) {
        return floor_fail("/dev/kvm");
    }
    steps_mark(steps, "open-kvm");
    vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
    if (vm->fd < 0) {
        return floor_fail("KVM_CREATE_VM");
    }
    steps_mark(steps, "create-vm");
    return true;
}

static bool make_irqchip(Vm *vm, bool split, Steps *steps)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {SPLIT_IRQCHIP_PINS}};

    if (split ? ioctl(vm->fd, KVM_ENABLE_CAP, &cap) : ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0)) {
        return floor_fail("the interrupt chip");
    }
    steps_mark(steps, "irqchip");
    return true;
}

static bool make_memory(Vm *vm, const Options *options, Steps *steps)
{
    struct kvm_userspace_memory_region slot = {.memory_size = options->memory_bytes};

    if (options->kernel_path ? !image_map_kernel(options, &vm->ram, &vm->entry)
                             : !image_map_template(options, &vm->ram, &vm->entry)) {
        return false;
    }
    steps_mark(steps, "map-memory");
    slot.userspace_addr = (uintptr_t)vm->ram;
    if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0) {
        return floor_fail("KVM_SET_USER_MEMORY_REGION");
    }
    steps_mark(steps, "memslot");
    return true;
}

static bool make_vcpus(Vm *vm, const Options *options, Steps *steps)
{
    int run_bytes = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

    for (unsigned i = 0; i < options->vcpus; i++) {
        vm->vcpus[i].fd = ioctl(vm->fd, KVM_CREATE_VCPU, i);
        if (vm->vcpus[i].fd < 0) {
            return floor_fail("KVM_CREATE_VCPU");
        }
    }
    steps_mark(steps, "create-vcpus");
    for (unsigned i = 0; i < options->vcpus; i++) {
        vm->vcpus[i].run =
            mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpus[i].fd, 0);
        if (vm->vcpus[i].run == MAP_FAILED) {
            return floor_fail("map a vCPU's run area");
        }
    }
    steps_mark(steps, "map-run");
    return true;
}

static bool make_doorbells(const Vm *vm, const Options *options, Steps *steps)
{
    for (unsigned i = 0; i < options->doorbells; i++) {
        struct kvm_ioeventfd doorbell = {.addr = DOORBELL_BASE + i * DOORBELL_STRIDE, .len = 4};

        doorbell.fd = eventfd(0, EFD_CLOEXEC);
        if (doorbell.fd < 0 || ioctl(vm->fd, KVM_IOEVENTFD, &doorbell) < 0) {
            return floor_fail("KVM_IOEVENTFD");
        }
    }
    if (options->doorbells) {
        steps_mark(steps, "doorbells");
    }
    return true;
}

/* Flat 32-bit protected mode, as the PVH protocol enters a kernel. */
static bool set_registers(const Vm *vm, int fd)
{
    const struct kvm_segment code = {
        .limit = UINT32_MAX, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
    const struct kvm_segment data = {
        .limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
    struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
    struct kvm_regs regs = {.rip = vm->entry, .rflags = 2};
    struct kvm_sregs sregs;

    if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0) {
        return floor_fail("KVM_GET_SREGS");
    }
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr0 |= 1;
    return (ioctl(fd, KVM_SET_SREGS, &sregs) == 0 && ioctl(fd, KVM_SET_REGS, &regs) == 0 &&
            ioctl(fd, KVM_SET_MP_STATE, &runnable) == 0) ||
           floor_fail("set a vCPU's registers");
}

/* What a restored vCPU has beyond its registers; the values go back as they came. */
static bool move_full_state(int fd)
{
    static const struct {
        unsigned long get, set;
    } pairs[] = {
        {KVM_GET_XSAVE, KVM_SET_XSAVE},
        {KVM_GET_XCRS, KVM_SET_XCRS},
        {KVM_GET_LAPIC, KVM_SET_LAPIC},
        {KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS},
        {KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS},
    };
    union {
        struct kvm_xsave xsave;
        struct kvm_lapic_state lapic;
    } state;

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (ioctl(fd, pairs[i].get, &state) < 0 || ioctl(fd, pairs[i].set, &state) < 0) {
            return floor_fail("move a vCPU's state");
        }
    }
    return true;
}

static bool set_state(Vm *vm, const Options *options, Steps *steps)
{
    if (options->cpuid_path ? !saved_cpuid(vm, options->cpuid_path) : !host_cpuid(vm)) {
        return false;
    }
    steps_mark(steps, options->cpuid_path ? "read-cpuid" : "ask-cpuid");
    for (unsigned i = 0; i < options->vcpus; i++) {
        if (ioctl(vm->vcpus[i].fd, KVM_SET_CPUID2, vm->cpuid) < 0) {
            return floor_fail("KVM_SET_CPUID2");
        }
    }
    steps_mark(steps, "set-cpuid");
    for (unsigned i = 0; i < options->vcpus; i++) {
        if (!set_registers(vm, vm->vcpus[i].fd) ||
            (options->full_state && !move_full_state(vm->vcpus[i].fd))) {
            return false;
        }
    }
    steps_mark(steps, "registers");
    return true;
}

static void *run_to_out(void *opaque)
{
    Vcpu *vcpu = opaque;

    while (ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno == EINTR) {
    }
    vcpu->done = vcpu->run->exit_reason == KVM_EXIT_IO;
    return NULL;
}

static bool run_vcpus(Vm *vm, const Options *options, Steps *steps)
{
    bool done;

    for (unsigned i = 1; i < options->vcpus; i++) {
        if (pthread_create(&vm->vcpus[i].thread, NULL, run_to_out, &vm->vcpus[i]) != 0) {
            return floor_fail("start a vCPU thread");
        }
    }
    if (options->vcpus > 1) {
        steps_mark(steps, "threads");
    }
    run_to_out(&vm->vcpus[0]);
    done = vm->vcpus[0].done && write(STDOUT_FILENO, "!", 1) == 1;
    steps_mark(steps, "first-out");
    for (unsigned i = 1; i < options->vcpus; i++) {
        pthread_join(vm->vcpus[i].thread, NULL);
        done = done && vm->vcpus[i].done;
    }
    if (options->vcpus > 1) {
        steps_mark(steps, "other-outs");
    }
    errno = EPROTO;
    return done || floor_fail("the guest did not reach its first OUT");
}

bool vm_run(const Options *options, Steps *steps)
{
    static Vm vm;

    return make_vm(&vm, steps) &&
           (options->order == ORDER_IRQCHIP_LAST ||
            make_irqchip(&vm, options->order == ORDER_SPLIT, steps)) &&
           make_memory(&vm, options, steps) &&
           (options->order != ORDER_IRQCHIP_LAST || make_irqchip(&vm, false, steps)) &&
           make_vcpus(&vm, options, steps) && make_doorbells(&vm, options, steps) &&
           set_state(&vm, options, steps) && run_vcpus(&vm, options, steps);
}
