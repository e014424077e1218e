/* SPDX-License-Identifier: Apache-2.0 */
/* What gdb asks about the target, and how it wants to be served. */
#include "machine/gdb/private.h"
#include "util/text.h"

#include <inttypes.h>

/* ---- features ------------------------------------------------------------------------------ */

void gdb_query_supported(GdbStub *stub, GdbRequest *request)
{
    (void)stub;
    g_string_printf(request->reply,
                    "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
                    "swbreak+;hwbreak+",
                    GDB_PACKET_BYTES);
}

static void describe_register(GString *xml, const DebugRegister *reg)
{
    g_string_append_printf(xml, "<reg name=\"%s\" bitsize=\"%u\"", reg->name, reg->bits);
    if (reg->type) {
        g_string_append_printf(xml, " type=\"%s\"", reg->type);
    }
    if (reg->group) {
        g_string_append_printf(xml, " group=\"%s\"", reg->group);
    }
    g_string_append(xml, "/>");
}

GString *gdb_describe_target(const DebugTarget *target)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
                                "<target>");

    g_string_append_printf(xml, "<architecture>%s</architecture>", target->architecture);
    for (size_t i = 0; i < target->num_registers; i++) {
        const DebugRegister *reg = &target->registers[i];
        const DebugFeature *feature = &target->features[reg->feature];

        if (i == 0 || target->registers[i - 1].feature != reg->feature) {
            g_string_append_printf(xml, "%s<feature name=\"%s\">%s", i > 0 ? "</feature>" : "",
                                   feature->name, feature->types ? feature->types : "");
        }
        describe_register(xml, reg);
    }
    g_string_append(xml, "</feature></target>");
    return xml;
}

/* target.xml:OFFSET,LENGTH: m and a piece, or l and the last one. */
void gdb_query_features(GdbStub *stub, GdbRequest *request)
{
    static const char file[] = "target.xml:";
    const char *cursor = request->arguments + strlen(file);
    g_autoptr(GString) xml = NULL;
    uint64_t offset;
    uint64_t len;

    if (!g_str_has_prefix(request->arguments, file)) {
        g_string_assign(request->reply, "E00"); /* there is no other file */
        return;
    }
    if (!gdb_parse_hex_until(&cursor, ',', &offset) || !gdb_parse_hex_until(&cursor, '\0', &len)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    xml = gdb_describe_target(stub->target);
    offset = MIN(offset, xml->len);
    len = MIN(len, GDB_PACKET_BYTES - 1);
    g_string_append_c(request->reply, offset + len < xml->len ? 'm' : 'l');
    g_string_append_len(request->reply, xml->str + offset, (gssize)MIN(len, xml->len - offset));
}

/* ---- threads ------------------------------------------------------------------------------- */

/* As many as go into a packet. */
void gdb_query_more_threads(GdbStub *stub, GdbRequest *request)
{
    if (stub->listed == stub->num_cpus) {
        g_string_assign(request->reply, "l");
        return;
    }
    while (stub->listed < stub->num_cpus && request->reply->len < GDB_PACKET_BYTES - 16) {
        g_string_append_printf(request->reply, "%c%x", request->reply->len > 0 ? ',' : 'm',
                               ++stub->listed);
    }
}

void gdb_query_first_threads(GdbStub *stub, GdbRequest *request)
{
    stub->listed = 0;
    gdb_query_more_threads(stub, request);
}

void gdb_query_thread_extra(GdbStub *stub, GdbRequest *request)
{
    const char *cursor = request->arguments;
    g_autofree char *text = NULL;
    int index;

    if (!gdb_parse_thread(stub, &cursor, &index) || index < 0) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    text = g_strdup_printf("vCPU %d", index);
    gdb_append_hex(request->reply, (const uint8_t *)text, strlen(text));
}

void gdb_query_current(GdbStub *stub, GdbRequest *request)
{
    g_string_printf(request->reply, "QC%x", stub->current + 1);
}

/* The VM was there before gdb came: leaving it is the rule, not ending it. */
void gdb_query_attached(GdbStub *stub, GdbRequest *request)
{
    (void)stub;
    g_string_assign(request->reply, "1");
}

/* ---- habits from QEMU ---------------------------------------------------------------------- */

void gdb_query_step_bits(GdbStub *stub, GdbRequest *request)
{
    (void)stub;
    g_string_printf(request->reply, "ENABLE=%x,NOIRQ=%x,NOTIMER=%x", GDB_STEP_ENABLE,
                    GDB_STEP_NO_IRQ, GDB_STEP_NO_TIMER);
}

void gdb_query_step(GdbStub *stub, GdbRequest *request)
{
    g_string_printf(request->reply, "0x%x", stub->step_bits);
}

void gdb_set_step(GdbStub *stub, GdbRequest *request)
{
    const char *cursor = request->arguments;
    uint64_t bits;

    if (!gdb_parse_hex_until(&cursor, '\0', &bits) || (bits & ~(uint64_t)GDB_STEP_BITS)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    stub->step_bits = (unsigned)bits;
    g_string_assign(request->reply, "OK");
}

void gdb_query_physical(GdbStub *stub, GdbRequest *request)
{
    g_string_assign(request->reply, stub->physical ? "1" : "0");
}

void gdb_set_physical(GdbStub *stub, GdbRequest *request)
{
    const char *cursor = request->arguments;
    uint64_t on;

    if (!gdb_parse_hex_until(&cursor, '\0', &on)) {
        g_string_assign(request->reply, GDB_ERROR_ARGUMENT);
        return;
    }
    stub->physical = on != 0;
    g_string_assign(request->reply, "OK");
}

/* ---- the line ------------------------------------------------------------------------------ */

/* Its own answer still wants an acknowledgement, which is then ignored. */
void gdb_set_no_acks(GdbStub *stub, GdbRequest *request)
{
    stub->packets.no_acks = true;
    g_string_assign(request->reply, "OK");
}
