/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for people that look into the VM: address maps, devices, registers, memory. */
#include "machine/vm_inspect.h"
#include "qmp/human.h"
#include "util/bytes.h"

#include <inttypes.h>
#include <string.h>

/* ---- info mtree ---- */

static void show_window(void *opaque, const BusWindow *window)
{
    g_string_append_printf(opaque, "  %016" PRIx64 "-%016" PRIx64 ": %s\r\n", window->base,
                           window->base + (window->size - 1), window->owner);
}

void human_map(GString *out, QmpCall *call, const char *rest)
{
    const Vm *vm = call->vm;
    size_t count;
    const RamBlock *blocks = guest_mem_blocks(vm->memory, &count);

    (void)rest;
    g_string_append(out, "memory\r\n");
    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 ": %s @%016" PRIx64 " (%s)\r\n",
                               blocks[i].base.v, blocks[i].base.v + (blocks[i].size - 1),
                               blocks[i].backend->id, blocks[i].backend_offset,
                               blocks[i].backend->rom ? "rom" : "ram");
    }
    g_string_append(out, "mmio\r\n");
    bus_for_each(vm->mmio, show_window, out);
    g_string_append(out, "I/O\r\n");
    bus_for_each(vm->ports, show_window, out);
}

/* ---- info qtree ---- */

void human_devices(GString *out, QmpCall *call, const char *rest)
{
    const Vm *vm = call->vm;

    (void)rest;
    g_string_append_printf(out, "machine: %s\r\n", vm->machine_ops->name);
    for (guint i = 0; i < vm->devices->len; i++) {
        const Device *dev = vm->devices->pdata[i];

        g_string_append_printf(out, "  dev: %s, id \"%s\"\r\n", dev->ops->name, dev->id);
    }
}

/* ---- info registers ---- */

/* All vCPUs, with or without -a: one line each. */
void human_registers(GString *out, QmpCall *call, const char *rest)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) texts = vm_describe_vcpus(call->vm, &error);

    (void)rest;
    if (!texts) {
        g_string_append_printf(out, "Error: %s\r\n", error->message);
    }
    for (unsigned i = 0; texts && texts[i]; i++) {
        g_string_append_printf(out, "CPU#%u %s\r\n", i, texts[i]);
    }
}

/* ---- xp ---- */

#define MAX_ITEMS      4096
#define BYTES_PER_LINE 16U

/* "/8xw": how many, how they are shown, how large each is. */
typedef struct Format {
    unsigned count;
    unsigned size;
    char style; /* x, d, u, o or c */
} Format;

static bool parse_format(const char *text, Format *ret_format)
{
    static const char sizes[] = "bhwg";
    Format format = {.count = 1, .size = 4, .style = 'x'};
    char *end = NULL;

    if (g_ascii_isdigit(*text)) {
        guint64 count = g_ascii_strtoull(text, &end, 10);

        if (count == 0 || count > MAX_ITEMS) {
            return false;
        }
        format.count = (unsigned)count;
        text = end;
    }
    for (; *text; text++) {
        const char *size = strchr(sizes, *text);

        if (size) {
            format.size = 1U << (size - sizes);
        } else if (strchr("xduoc", *text)) {
            format.style = *text;
        } else {
            return false;
        }
    }
    *ret_format = format;
    return true;
}

static void show_item(GString *out, const Format *format, const uint8_t *bytes)
{
    uint8_t whole[8] = {0};
    uint64_t value;
    int width = (int)format->size;

    memcpy(whole, bytes, format->size);
    value = load_le64(whole);
    switch (format->style) {
    case 'd': {
        unsigned unused = 64 - 8 * format->size;

        g_string_append_printf(out, " %" PRId64, (int64_t)(value << unused) >> unused);
        break;
    }
    case 'u':
        g_string_append_printf(out, " %" PRIu64, value);
        break;
    case 'o':
        g_string_append_printf(out, " 0%" PRIo64, value);
        break;
    case 'c':
        g_string_append_printf(out, g_ascii_isprint((char)value) ? " '%c'" : " '\\x%02x'",
                               (unsigned char)value);
        break;
    default:
        g_string_append_printf(out, " 0x%0*" PRIx64, 2 * width, value);
        break;
    }
}

static void show_memory(GString *out, const GuestMemory *memory, uint64_t address,
                        const Format *format)
{
    unsigned per_line = BYTES_PER_LINE / format->size;

    for (unsigned i = 0; i < format->count; i++) {
        uint8_t bytes[8];
        g_autoptr(GError) error = NULL;

        if (!guest_mem_read(memory, GPA(address), bytes, format->size, &error)) {
            g_string_append_printf(out, "Cannot access memory: %s\r\n", error->message);
            return;
        }
        if (i % per_line == 0) {
            g_string_append_printf(out, "%016" PRIx64 ":", address);
        }
        show_item(out, format, bytes);
        if ((i + 1) % per_line == 0 || i + 1 == format->count) {
            g_string_append(out, "\r\n");
        }
        address += format->size;
    }
}

void human_examine(GString *out, QmpCall *call, const char *rest)
{
    Format format = {.count = 1, .size = 4, .style = 'x'};
    g_auto(GStrv) words = g_strsplit(rest, " ", -1);
    char **word = words;
    bool ok = true;
    uint64_t address = 0;

    if (*word && **word == '/') {
        ok = parse_format(*word + 1, &format);
        word++;
    }
    if (ok && *word && !word[1]) {
        bool hex = g_str_has_prefix(*word, "0x");

        ok = g_ascii_string_to_unsigned(hex ? *word + 2 : *word, hex ? 16 : 10, 0, UINT64_MAX,
                                        &address, NULL);
    } else {
        ok = false;
    }
    if (!ok) {
        g_string_append(out, "xp: expected [/COUNT x|d|u|o|c b|h|w|g] ADDRESS, as in "
                             "xp /8xw 0x1000\r\n");
        return;
    }
    show_memory(out, call->vm->memory, address, &format);
}
