/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads.  The only shared state is in Vcpus, under one lock that no thread takes while its
 * guest runs: it is for stopping, starting and errands.
 */
#include "hypervisor/vcpu.h"

#include "hypervisor/vcpu_exit.h"
#include "util/error.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An errand for one vCPU thread, run while it is parked. */
typedef struct Errand {
    VcpuFn fn;
    void *opaque;
    GError *error;
    bool ok;
} Errand;

typedef struct VcpuSlot {
    Vcpu vcpu;
    pthread_t thread;
    bool has_thread;
    unsigned job; /* of the hypervisor's starter, if that is its thread; 0: it is not */
    bool made;    /* before its thread came to it */

    /* guarded by the group's lock */
    bool parked;
    bool gave_up; /* reported a failure or a shutdown: not to run before a reset */
    bool held;    /* not to run with the others */
    Errand *errand;

    GError *start_error; /* vCPU thread only, after its end the main thread's */
} VcpuSlot;

struct Vcpus {
    /* fixed after creation */
    Hypervisor *hypervisor;
    const VcpuHooks *hooks;
    void *opaque;
    unsigned count;
    VcpuSlot *slots;

    /* true: every thread parks as soon as it is out of the guest */
    atomic_bool pausing;

    Mutex lock;
    Cond wake;   /* to the threads: run, do an errand, or end */
    Cond parked; /* to the main thread: one more has begun, is parked, or has done its errand */
    /* guarded by lock */
    unsigned num_begun;
    unsigned num_parked;
    bool ending;
};

/* Any signal gets a thread out of KVM_RUN; this one does nothing else. */
static int kick_signal(void)
{
    return SIGRTMIN;
}

static void kick_handler(int number)
{
    (void)number;
}

static void install_kick_handler(void)
{
    struct sigaction action = {.sa_handler = kick_handler};

    sigaction(kick_signal(), &action, NULL);
}

/* run->immediate_exit is one byte that KVM reads on entry; it closes the gap before KVM_RUN. */
static void set_immediate_exit(Vcpu *vcpu, uint8_t value)
{
    __atomic_store_n(&vcpu->run->immediate_exit, value, __ATOMIC_SEQ_CST);
}

/*
 * Wakes those who wait, without the lock: a thread that is woken onto this processor would run
 * against the lock at once, and cost two more switches.
 */
static void wake_locked(Vcpus *vcpus, Cond *cond) REQUIRES(vcpus->lock)
{
    mutex_unlock(&vcpus->lock);
    cond_broadcast(cond);
    mutex_lock(&vcpus->lock);
}

static void run_errand_locked(Vcpus *vcpus, VcpuSlot *slot) REQUIRES(vcpus->lock)
{
    Errand *errand = slot->errand;

    mutex_unlock(&vcpus->lock);
    if (slot->start_error) {
        errand->ok = false;
        errand->error = g_steal_pointer(&slot->start_error);
    } else {
        errand->ok = errand->fn(&slot->vcpu, errand->opaque, &errand->error);
    }
    mutex_lock(&vcpus->lock);
    slot->errand = NULL;
    wake_locked(vcpus, &vcpus->parked);
}

/* Sleeps until the vCPU may run (true) or must end (false); does errands meanwhile. */
static bool vcpu_park(Vcpus *vcpus, VcpuSlot *slot)
{
    mutex_lock(&vcpus->lock);
    slot->parked = true;
    vcpus->num_parked++;
    wake_locked(vcpus, &vcpus->parked);
    while (!vcpus->ending && (atomic_load(&vcpus->pausing) || slot->gave_up || slot->held)) {
        if (slot->errand) {
            run_errand_locked(vcpus, slot);
        } else {
            cond_wait(&vcpus->wake, &vcpus->lock);
        }
    }
    slot->parked = false;
    vcpus->num_parked--;

    bool run = !vcpus->ending;

    mutex_unlock(&vcpus->lock);
    return run;
}

static void vcpu_give_up(Vcpus *vcpus, VcpuSlot *slot)
{
    mutex_lock(&vcpus->lock);
    slot->gave_up = true;
    mutex_unlock(&vcpus->lock);
}

/*
 * One stay in the guest.  After a kick KVM_RUN is entered once more with immediate_exit set, which
 * completes a half-done port or MMIO access before the state can be looked at; so the request to
 * stop is looked at after -EINTR only.
 */
static void vcpu_run_until_stop(Vcpus *vcpus, VcpuSlot *slot)
{
    Vcpu *vcpu = &slot->vcpu;

    vcpu->has_run = true;
    for (;;) {
        int result = vcpus->hypervisor->ops->run(vcpu);

        if (result == -EINTR || result == -EAGAIN) {
            set_immediate_exit(vcpu, 0);
            if (atomic_load(&vcpus->pausing)) {
                return;
            }
        } else if (!vcpu_handle_exit(vcpu, vcpus->hooks, vcpus->opaque, result)) {
            vcpu_give_up(vcpus, slot);
            return;
        }
    }
}

static bool create(VcpuSlot *slot, GError **error)
{
    Vcpu *vcpu = &slot->vcpu;

    return vcpu->hypervisor->ops->create_vcpu(vcpu->hypervisor, vcpu->index, vcpu, error);
}

/* What goes wrong is told to whoever wants something of it first. */
static void begin_vcpu(VcpuSlot *slot)
{
    Vcpu *vcpu = &slot->vcpu;
    Vcpus *vcpus = vcpu->group;

    if ((slot->made || create(slot, &slot->start_error)) && vcpus->hooks->started) {
        vcpus->hooks->started(vcpus->opaque, vcpu, &slot->start_error);
    }
    mutex_lock(&vcpus->lock);
    vcpus->num_begun++;
    wake_locked(vcpus, &vcpus->parked);
    mutex_unlock(&vcpus->lock);
}

static void *vcpu_thread(void *opaque)
{
    VcpuSlot *slot = opaque;
    Vcpu *vcpu = &slot->vcpu;
    char name[16];

    snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
    prctl(PR_SET_NAME, name);
    atomic_store(&vcpu->thread_id, (int)syscall(SYS_gettid));
    begin_vcpu(slot);
    while (vcpu_park(vcpu->group, slot)) {
        vcpu_run_until_stop(vcpu->group, slot);
    }
    return NULL;
}

static bool be_vcpu(void *opaque, GError **error)
{
    (void)error;
    vcpu_thread(opaque);
    return true;
}

/* It is still busy with memory: the vCPU is made here meanwhile. */
static bool start_on(SideThread *starter, VcpuSlot *slot, GError **error)
{
    if (!create(slot, error)) {
        g_prefix_error(error, "vCPU %u: ", slot->vcpu.index);
        return false;
    }
    slot->thread = side_thread_id(starter);
    slot->made = true;
    slot->job = side_thread_do(starter, be_vcpu, slot, NULL);
    return true;
}

static bool start_thread(VcpuSlot *slot, GError **error)
{
    SideThread *starter = slot->vcpu.index == 0 ? slot->vcpu.hypervisor->starter : NULL;
    int err;

    if (starter) {
        return start_on(starter, slot, error);
    }
    err = pthread_create(&slot->thread, NULL, vcpu_thread, slot);
    return err == 0 || fail_errno(error, err, "vCPU %u: cannot start its thread", slot->vcpu.index);
}

/* Waits until it has left vcpu_thread. */
static void end_thread(VcpuSlot *slot)
{
    if (slot->job != 0) {
        side_thread_wait(slot->vcpu.hypervisor->starter, slot->job, NULL);
    } else {
        pthread_join(slot->thread, NULL);
    }
}

static bool vcpu_start(Vcpus *vcpus, unsigned index, GError **error)
{
    VcpuSlot *slot = &vcpus->slots[index];

    slot->vcpu.index = index;
    slot->vcpu.group = vcpus;
    slot->vcpu.hypervisor = vcpus->hypervisor;
    slot->has_thread = start_thread(slot, error);
    return slot->has_thread;
}

Vcpus *vcpus_new(Hypervisor *hypervisor, unsigned count, const VcpuHooks *hooks, void *opaque,
                 GError **error)
{
    g_autoptr(Vcpus) vcpus = g_new0(Vcpus, 1);

    vcpus->hypervisor = hypervisor;
    vcpus->hooks = hooks;
    vcpus->opaque = opaque;
    vcpus->slots = g_new0(VcpuSlot, count);
    vcpus->count = count;
    atomic_store(&vcpus->pausing, true);
    mutex_init(&vcpus->lock);
    cond_init(&vcpus->wake);
    cond_init(&vcpus->parked);
    for (unsigned i = 0; i < count; i++) {
        vcpus->slots[i].vcpu.fd = -1;
    }
    install_kick_handler();
    for (unsigned i = 0; i < count; i++) {
        if (!vcpu_start(vcpus, i, error)) {
            return NULL;
        }
    }
    return g_steal_pointer(&vcpus);
}

/* A kick can reach a thread in a system call of an exit handler; those retry EINTR. */
static void vcpus_kick(Vcpus *vcpus)
{
    for (unsigned i = 0; i < vcpus->count; i++) {
        if (vcpus->slots[i].has_thread) {
            set_immediate_exit(&vcpus->slots[i].vcpu, 1);
            pthread_kill(vcpus->slots[i].thread, kick_signal());
        }
    }
}

void vcpus_pause_begin(Vcpus *vcpus)
{
    if (!atomic_exchange(&vcpus->pausing, true)) {
        vcpus_kick(vcpus);
    }
}

void vcpus_pause(Vcpus *vcpus)
{
    vcpus_pause_begin(vcpus);
    mutex_lock(&vcpus->lock);
    while (vcpus->num_parked < vcpus->count) {
        cond_wait(&vcpus->parked, &vcpus->lock);
    }
    mutex_unlock(&vcpus->lock);
}

/* One that runs can be kicked, so it must be there. */
void vcpus_resume(Vcpus *vcpus)
{
    mutex_lock(&vcpus->lock);
    while (vcpus->num_begun < vcpus->count) {
        cond_wait(&vcpus->parked, &vcpus->lock);
    }
    atomic_store(&vcpus->pausing, false);
    mutex_unlock(&vcpus->lock);
    cond_broadcast(&vcpus->wake);
}

void vcpus_revive(Vcpus *vcpus)
{
    mutex_lock(&vcpus->lock);
    for (unsigned i = 0; i < vcpus->count; i++) {
        vcpus->slots[i].gave_up = false;
    }
    mutex_unlock(&vcpus->lock);
}

static VcpuSlot *slot_of(Vcpu *vcpu)
{
    return &vcpu->group->slots[vcpu->index];
}

void vcpu_revive(Vcpu *vcpu)
{
    mutex_lock(&vcpu->group->lock);
    slot_of(vcpu)->gave_up = false;
    mutex_unlock(&vcpu->group->lock);
}

void vcpu_hold(Vcpu *vcpu, bool hold)
{
    mutex_lock(&vcpu->group->lock);
    slot_of(vcpu)->held = hold;
    mutex_unlock(&vcpu->group->lock);
}

/* Hands errands[i] to vCPU first + i and waits for all of them. */
static bool run_errands(Vcpus *vcpus, unsigned first, unsigned count, Errand *errands,
                        GError **error)
{
    bool ok = true;

    mutex_lock(&vcpus->lock);
    for (unsigned i = 0; i < count; i++) {
        vcpus->slots[first + i].errand = &errands[i];
    }
    wake_locked(vcpus, &vcpus->wake);
    for (unsigned i = 0; i < count; i++) {
        while (vcpus->slots[first + i].errand) {
            cond_wait(&vcpus->parked, &vcpus->lock);
        }
    }
    mutex_unlock(&vcpus->lock);
    for (unsigned i = 0; i < count; i++) {
        if (errands[i].ok) {
            continue;
        }
        if (ok) {
            g_propagate_prefixed_error(error, errands[i].error, "vCPU %u: ", first + i);
        } else {
            g_clear_error(&errands[i].error);
        }
        ok = false;
    }
    return ok;
}

bool vcpus_each(Vcpus *vcpus, VcpuFn fn, void *opaque, GError **error)
{
    g_autofree Errand *errands = g_new0(Errand, vcpus->count);

    for (unsigned i = 0; i < vcpus->count; i++) {
        errands[i] = (Errand){.fn = fn, .opaque = opaque};
    }
    return run_errands(vcpus, 0, vcpus->count, errands, error);
}

bool vcpu_call(Vcpu *vcpu, VcpuFn fn, void *opaque, GError **error)
{
    Errand errand = {.fn = fn, .opaque = opaque};

    return run_errands(vcpu->group, vcpu->index, 1, &errand, error);
}

unsigned vcpus_count(const Vcpus *vcpus)
{
    return vcpus->count;
}

Vcpu *vcpus_get(Vcpus *vcpus, unsigned index)
{
    g_assert(index < vcpus->count);
    return &vcpus->slots[index].vcpu;
}

void vcpus_free(Vcpus *vcpus)
{
    if (!vcpus) {
        return;
    }
    vcpus_pause_begin(vcpus);
    mutex_lock(&vcpus->lock);
    vcpus->ending = true;
    cond_broadcast(&vcpus->wake);
    mutex_unlock(&vcpus->lock);
    for (unsigned i = 0; i < vcpus->count; i++) {
        VcpuSlot *slot = &vcpus->slots[i];

        if (slot->has_thread) {
            end_thread(slot);
        }
        g_clear_error(&slot->start_error);
        if (slot->vcpu.hypervisor) {
            vcpus->hypervisor->ops->free_vcpu(&slot->vcpu);
        }
    }
    cond_fini(&vcpus->wake);
    cond_fini(&vcpus->parked);
    mutex_fini(&vcpus->lock);
    g_free(vcpus->slots);
    g_free(vcpus);
}
