/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile debugger: the input comes over the line, as packets and as noise.  Each line of it is
 * wrapped into a packet with a right sum, so that what is found is not only how sums are checked; a
 * line that begins with a zero comes as it is.
 */
#include "hypervisor/fake.h"
#include "machine/gdb/private.h"
#include "machine/options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the guest does when it is let. */
static const FakeExit script[] = {
    {.reason = KVM_EXIT_DEBUG, .stop = {.kind = DEBUG_STOP_STEP, .address = 0x1000}},
    {.reason = KVM_EXIT_DEBUG, .stop = {.kind = DEBUG_STOP_SOFTWARE, .address = 0x1000}},
    {.reason = KVM_EXIT_DEBUG, .stop = {DEBUG_STOP_POINT, 0x2000, DEBUG_POINT_WRITE}},
};

static Vm *make_vm(VmConfig *config, Loop *loop)
{
    static const VmEventSink no_events = {0};
    OptionsOutcome outcome = {0};
    char *argv[] = {(char[]){"stencil"},   (char[]){"-accel"}, (char[]){"qtest"},
                    (char[]){"-smp"},      (char[]){"2"},      (char[]){"-chardev"},
                    (char[]){"null,id=c"}, (char[]){"-gdb"},   (char[]){"chardev:c"},
                    (char[]){"-serial"},   (char[]){"none"}};
    Vm *vm;

    g_assert_true(options_parse(G_N_ELEMENTS(argv), argv, config, &outcome, NULL));
    vm = vm_new(config, loop, &no_events, NULL, NULL);
    g_assert_nonnull(vm);
    g_assert_true(vm_boot(vm, NULL));
    fake_set_script(vm->hypervisor, 0, script, G_N_ELEMENTS(script));
    return vm;
}

static void quit(void *opaque)
{
    loop_quit(opaque);
}

/* What the guest asked for meanwhile is acted upon. */
static void settle(Loop *loop)
{
    loop_post(loop, quit, loop);
    loop_run(loop);
}

static void say(GdbStub *stub, const uint8_t *line, size_t len)
{
    g_autoptr(GString) packet = g_string_new("$");
    uint8_t sum = 0;

    if (len > 0 && line[0] == 0) {
        gdb_receive(stub, line + 1, len - 1);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        sum = (uint8_t)(sum + line[i]);
    }
    g_string_append_len(packet, (const char *)line, (gssize)len);
    g_string_append_printf(packet, "#%02x", sum);
    gdb_receive(stub, (const uint8_t *)packet->str, packet->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(VmConfig) config = vm_config_new();
    g_autoptr(Loop) loop = loop_new("main");
    g_autoptr(Vm) vm = make_vm(config, loop);
    g_autoptr(GdbStub) stub = gdb_stub_new(vm, config->gdb, NULL);

    g_assert_nonnull(stub);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) : size;

        say(stub, data, len);
        settle(loop);
        len = MIN(len + 1, size);
        data += len;
        size -= len;
    }
    vm_stop(vm, RUN_STATE_PAUSED, NULL);
    return 0;
}
