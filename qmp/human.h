/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QMP_HUMAN_H
#define QMP_HUMAN_H

/*
 * Commands for people, as human-monitor-command takes them.  Most are a QMP command whose answer is
 * put into words; the words are QEMU's where scripts read them.  Lines end with CRLF.
 */

#include "qmp/reply.h"

/* What is on the screen of a QMP command's answer. */
typedef void (*HumanShow)(GString *out, json_object *reply);

void human_show_status(GString *out, json_object *reply);
void human_show_name(GString *out, json_object *reply);
void human_show_uuid(GString *out, json_object *reply);
void human_show_kvm(GString *out, json_object *reply);
void human_show_version(GString *out, json_object *reply);
void human_show_cpus(GString *out, json_object *reply);
void human_show_block(GString *out, json_object *reply);
void human_show_blockstats(GString *out, json_object *reply);
void human_show_chardev(GString *out, json_object *reply);
void human_show_iothreads(GString *out, json_object *reply);

/* As system_reset, but answered before it is done: the answer is a text. */
bool qmp_reset_detached(QmpCall *call, QmpReply *reply, GError **error);

/* Commands of their own; rest is what follows their words on the line. */
typedef void (*HumanRun)(GString *out, QmpCall *call, const char *rest);

void human_map(GString *out, QmpCall *call, const char *rest);
void human_devices(GString *out, QmpCall *call, const char *rest);
void human_registers(GString *out, QmpCall *call, const char *rest);
void human_examine(GString *out, QmpCall *call, const char *rest);

#endif
