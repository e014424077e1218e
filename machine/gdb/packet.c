/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/gdb/packet.h"

#include <string.h>

#define INTERRUPT 0x03
#define ESCAPE    '}'
#define FLIP      0x20

void gdb_packets_init(GdbPackets *packets, const GdbPacketUser *user)
{
    *packets = (GdbPackets){.user = *user};
    packets->payload = g_string_new(NULL);
    packets->last = g_string_new(NULL);
    packets->output = g_string_new(NULL);
}

void gdb_packets_fini(GdbPackets *packets)
{
    g_string_free(packets->payload, TRUE);
    g_string_free(packets->last, TRUE);
    g_string_free(packets->output, TRUE);
}

void gdb_packets_reset(GdbPackets *packets)
{
    packets->state = GDB_INPUT_IDLE;
    packets->no_acks = false;
    g_string_truncate(packets->payload, 0);
    g_string_truncate(packets->last, 0);
    g_string_truncate(packets->output, 0);
}

void gdb_packets_send(GdbPackets *packets, const char *payload, size_t len)
{
    GString *last = packets->last;
    uint8_t sum = 0;

    g_string_assign(last, "$");
    for (size_t i = 0; i < len; i++) {
        /* A star would be taken for the mark of a repetition. */
        if (payload[i] != '\0' && strchr("$#}*", payload[i])) {
            g_string_append_c(last, ESCAPE);
            g_string_append_c(last, (char)(payload[i] ^ FLIP));
        } else {
            g_string_append_c(last, payload[i]);
        }
    }
    for (size_t i = 1; i < last->len; i++) {
        sum = (uint8_t)(sum + (uint8_t)last->str[i]);
    }
    g_string_append_printf(last, "#%02x", sum);
    g_string_append_len(packets->output, last->str, (gssize)last->len);
    if (packets->no_acks) {
        g_string_truncate(last, 0);
    }
}

static void begin_payload(GdbPackets *packets)
{
    packets->state = GDB_INPUT_PAYLOAD;
    packets->sum = 0;
    packets->overlong = false;
    g_string_truncate(packets->payload, 0);
}

static void receive_idle(GdbPackets *packets, uint8_t byte)
{
    switch (byte) {
    case '$':
        begin_payload(packets);
        break;
    case '+':
        g_string_truncate(packets->last, 0);
        break;
    case '-':
        g_string_append_len(packets->output, packets->last->str, (gssize)packets->last->len);
        break;
    case INTERRUPT:
        packets->user.interrupt(packets->user.opaque);
        break;
    default:
        break; /* noise on the line */
    }
}

static void append(GdbPackets *packets, uint8_t byte)
{
    if (packets->payload->len >= GDB_PACKET_BYTES) {
        packets->overlong = true;
    } else {
        g_string_append_c(packets->payload, (char)byte);
    }
}

static void receive_payload(GdbPackets *packets, uint8_t byte)
{
    if (byte == '#') {
        packets->state = GDB_INPUT_SUM_HIGH;
        return;
    }
    packets->sum = (uint8_t)(packets->sum + byte);
    if (packets->state == GDB_INPUT_ESCAPED) {
        packets->state = GDB_INPUT_PAYLOAD;
        append(packets, byte ^ FLIP);
    } else if (byte == ESCAPE) {
        packets->state = GDB_INPUT_ESCAPED;
    } else {
        append(packets, byte);
    }
}

static void end_payload(GdbPackets *packets, bool sum_is_right)
{
    packets->state = GDB_INPUT_IDLE;
    if (!packets->no_acks) {
        g_string_append_c(packets->output, sum_is_right ? '+' : '-');
    }
    if (!sum_is_right) {
        return;
    }
    if (packets->overlong) {
        gdb_packets_send(packets, "E22", strlen("E22"));
        return;
    }
    packets->user.packet(packets->user.opaque, packets->payload->str, packets->payload->len);
}

static void receive_byte(GdbPackets *packets, uint8_t byte)
{
    int digit = g_ascii_xdigit_value((char)byte);

    switch (packets->state) {
    case GDB_INPUT_IDLE:
        receive_idle(packets, byte);
        break;
    case GDB_INPUT_PAYLOAD:
    case GDB_INPUT_ESCAPED:
        receive_payload(packets, byte);
        break;
    case GDB_INPUT_SUM_HIGH:
        packets->claimed = (uint8_t)MAX(digit, 0);
        packets->overlong |= digit < 0;
        packets->state = GDB_INPUT_SUM_LOW;
        break;
    case GDB_INPUT_SUM_LOW:
        end_payload(packets, digit >= 0 && (packets->claimed << 4 | digit) == packets->sum);
        break;
    }
}

void gdb_packets_receive(GdbPackets *packets, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        receive_byte(packets, data[i]);
    }
}
