/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types, and a tree of objects made from what the command line said:
 *
 *     /machine/peripheral/ID        -device with an id
 *     /machine/unattached/device[N] vCPU N
 *     /objects/ID                   -object
 */
#include "machine/machines.h"
#include "machine/objects.h"
#include "qmp/generated.h"
#include "util/error.h"

#include <string.h>

/* ---- types ---- */

typedef struct TypeList {
    json_object *list;
    const char *implements; /* NULL: all */
} TypeList;

static void add_type(const TypeList *types, const char *name, const char *parent)
{
    const char *wanted = types->implements;
    json_object *entry;

    if (wanted && strcmp(wanted, "object") != 0 && strcmp(wanted, name) != 0 &&
        strcmp(wanted, parent) != 0) {
        return;
    }
    entry = json_object_new_object();
    qmp_add_string(entry, "name", name);
    qmp_add_string(entry, "parent", parent);
    json_object_array_add(types->list, entry);
}

static void add_machine_types(const TypeList *types)
{
    for (unsigned i = 0; machine_type_names[i]; i++) {
        g_autofree char *name = g_strconcat(machine_type_names[i], "-machine", NULL);

        if (machine_ops_find((MachineType)i)) {
            add_type(types, name, "machine");
        }
    }
}

static void add_cpu_types(const TypeList *types)
{
    const char *const *names = cpu_model_names();

    for (size_t i = 0; names[i]; i++) {
        g_autofree char *name = g_strconcat(names[i], "-" QMP_TARGET "-cpu", NULL);

        add_type(types, name, QMP_TARGET "-cpu");
    }
}

bool qmp_cmd_qom_list_types(QmpCall *call, const QmpQomListTypesArgs *args, QmpReply *reply,
                            GError **error)
{
    TypeList types = {.list = json_object_new_array(), .implements = args->implements};
    size_t count;
    const ObjectType *objects = object_types(&count);

    (void)call;
    (void)error;
    reply->value = types.list;
    add_type(&types, "kvm-accel", "accel");
    add_machine_types(&types);
    add_cpu_types(&types);
    for (size_t i = 0; i < device_num_types; i++) {
        add_type(&types, device_types[i].name, "device");
    }
    for (size_t i = 0; i < count; i++) {
        add_type(&types, objects[i].name, "object");
    }
    return true;
}

/* NULL if there is no such type, or nothing to say about it. */
static const PropTable *table_of(const char *type)
{
    const DeviceType *device = device_type_find(type);
    const ObjectType *object = device ? NULL : object_type_find(type, /* error= */ NULL);

    if (device) {
        return device->props;
    }
    return object ? &object->table : NULL;
}

bool qmp_cmd_device_list_properties(QmpCall *call, const QmpDeviceListPropertiesArgs *args,
                                    QmpReply *reply, GError **error)
{
    const DeviceType *type = device_type_find(args->typename);

    (void)call;
    if (!type) {
        return qmp_fail(error, QMP_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", args->typename);
    }
    reply->value = type->props ? props_json(type->props) : json_object_new_array();
    return true;
}

bool qmp_cmd_qom_list_properties(QmpCall *call, const QmpQomListPropertiesArgs *args,
                                 QmpReply *reply, GError **error)
{
    const PropTable *table = table_of(args->typename);

    (void)call;
    (void)error;
    reply->value = table ? props_json(table) : json_object_new_array();
    return true;
}

/* ---- the tree ---- */

/* What is at a path: a folder of others, or a thing that the command line described. */
typedef struct Node {
    char *type;
    const GPtrArray *children; /* of PropBag; those without an id are left out */
    const PropBag *bag;
    const PropTable *table;
    unsigned num_cpus;        /* /machine/unattached */
    const char *const *names; /* folders inside; NULL-terminated */
} Node;

static void node_clear(Node *node)
{
    g_free(node->type);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Node, node_clear)

static bool find_thing(const GPtrArray *bags, const char *id, Node *ret_node)
{
    const PropBag *bag = vm_config_find(bags, id);

    if (bag) {
        ret_node->type = g_strdup(prop_bag_type(bag));
        ret_node->bag = bag;
        ret_node->table = table_of(ret_node->type);
    }
    return bag != NULL;
}

static bool find_cpu(const Vm *vm, const char *name, Node *ret_node)
{
    g_autofree char *expected = NULL;
    uint64_t index = 0;

    if (!g_str_has_prefix(name, "device[")) {
        return false;
    }
    index = g_ascii_strtoull(name + strlen("device["), NULL, 10);
    expected = g_strdup_printf("device[%" PRIu64 "]", index);
    if (strcmp(name, expected) != 0 || index >= vcpus_count(vm->vcpus)) {
        return false;
    }
    ret_node->type = g_strconcat(vm->config->cpu.model, "-" QMP_TARGET "-cpu", NULL);
    return true;
}

static bool find_folder(const Vm *vm, const char *path, Node *ret_node)
{
    static const char *const in_root[] = {"machine", "objects", NULL};
    static const char *const in_machine[] = {"peripheral", "unattached", NULL};

    ret_node->type = g_strdup("container");
    if (strcmp(path, "/") == 0 || strcmp(path, "") == 0) {
        ret_node->names = in_root;
    } else if (strcmp(path, "/machine") == 0) {
        g_free(ret_node->type);
        ret_node->type = g_strconcat(vm->machine_ops->name, "-machine", NULL);
        ret_node->names = in_machine;
    } else if (strcmp(path, "/machine/peripheral") == 0) {
        ret_node->children = vm->config->devices;
    } else if (strcmp(path, "/machine/unattached") == 0) {
        ret_node->num_cpus = vcpus_count(vm->vcpus);
    } else if (strcmp(path, "/objects") == 0) {
        ret_node->children = vm->config->objects;
    } else {
        g_clear_pointer(&ret_node->type, g_free);
    }
    return ret_node->type != NULL;
}

static bool find_node(const Vm *vm, const char *path, Node *ret_node, GError **error)
{
    static const char peripheral[] = "/machine/peripheral/";
    static const char unattached[] = "/machine/unattached/";
    static const char objects[] = "/objects/";

    if (find_folder(vm, path, ret_node) ||
        (g_str_has_prefix(path, peripheral) &&
         find_thing(vm->config->devices, path + strlen(peripheral), ret_node)) ||
        (g_str_has_prefix(path, unattached) && find_cpu(vm, path + strlen(unattached), ret_node)) ||
        (g_str_has_prefix(path, objects) &&
         find_thing(vm->config->objects, path + strlen(objects), ret_node))) {
        return true;
    }
    return qmp_fail(error, QMP_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", path);
}

static void add_child(json_object *list, const char *name, const char *type)
{
    g_autofree char *child = g_strdup_printf("child<%s>", type);
    json_object *entry = json_object_new_object();

    qmp_add_string(entry, "name", name);
    qmp_add_string(entry, "type", child);
    json_object_array_add(list, entry);
}

static void add_children(json_object *list, const Vm *vm, const Node *node)
{
    for (size_t i = 0; node->names && node->names[i]; i++) {
        add_child(list, node->names[i], "container");
    }
    for (guint i = 0; node->children && i < node->children->len; i++) {
        const PropBag *bag = node->children->pdata[i];

        if (prop_bag_id(bag)) {
            add_child(list, prop_bag_id(bag), prop_bag_type(bag));
        }
    }
    for (unsigned i = 0; i < node->num_cpus; i++) {
        g_autofree char *name = g_strdup_printf("device[%u]", i);
        g_autofree char *type = g_strconcat(vm->config->cpu.model, "-" QMP_TARGET "-cpu", NULL);

        add_child(list, name, type);
    }
}

bool qmp_cmd_qom_list(QmpCall *call, const QmpQomListArgs *args, QmpReply *reply, GError **error)
{
    g_auto(Node) node = {0};
    json_object *type;

    if (!find_node(call->vm, args->path, &node, error)) {
        return false;
    }
    reply->value = node.table ? props_json(node.table) : json_object_new_array();
    type = json_object_new_object();
    qmp_add_string(type, "name", "type");
    qmp_add_string(type, "type", "string");
    json_object_array_add(reply->value, type);
    add_children(reply->value, call->vm, &node);
    return true;
}

static bool no_property(const Node *node, const char *name, GError **error)
{
    return fail(error, VMM_ERROR_CONFIG, "Property '%s.%s' not found", node->type, name);
}

/* As the property's type says: true, 5, "text". */
static json_object *value_of(const PropDesc *desc, const char *text)
{
    if (desc->type == PROP_BOOL) {
        return json_object_new_boolean(
            text &&
            (strcmp(text, "on") == 0 || strcmp(text, "true") == 0 || strcmp(text, "yes") == 0));
    }
    if (desc->type == PROP_UINT || desc->type == PROP_UINT32) {
        return json_object_new_uint64(text ? g_ascii_strtoull(text, NULL, 0) : 0);
    }
    return json_object_new_string(text ? text : "");
}

bool qmp_cmd_qom_get(QmpCall *call, const QmpQomGetArgs *args, QmpReply *reply, GError **error)
{
    g_auto(Node) node = {0};
    const PropDesc *desc;
    const char *text;

    if (!find_node(call->vm, args->path, &node, error)) {
        return false;
    }
    if (strcmp(args->property, "type") == 0) {
        reply->value = json_object_new_string(node.type);
        return true;
    }
    desc = node.table ? props_find(node.table, args->property) : NULL;
    if (!desc) {
        return no_property(&node, args->property, error);
    }
    text = prop_bag_get(node.bag, desc->name);
    if (!text && desc->alias) {
        text = prop_bag_get(node.bag, desc->alias);
    }
    reply->value = value_of(desc, text ? text : desc->default_text);
    return true;
}

bool qmp_cmd_qom_set(QmpCall *call, const QmpQomSetArgs *args, QmpReply *reply, GError **error)
{
    g_auto(Node) node = {0};

    (void)reply;
    if (!find_node(call->vm, args->path, &node, error)) {
        return false;
    }
    if (strcmp(args->property, "type") != 0 &&
        !(node.table && props_find(node.table, args->property))) {
        return no_property(&node, args->property, error);
    }
    return fail(error, VMM_ERROR_STATE, "Property '%s.%s' is not writable", node.type,
                args->property);
}
