/* A graph y = x + x over float32 [n, 2], written as ONNX bytes by hand; fields are those of onnx.proto. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct proto {
  uint8_t bytes[512];
  size_t count;
} proto;

static inline void proto_number(proto *p, int field, int value) {
  p->bytes[p->count++] = (uint8_t)(field << 3);
  p->bytes[p->count++] = (uint8_t)value;
}

static inline void proto_bytes(proto *p, int field, const void *bytes, size_t count) {
  p->bytes[p->count++] = (uint8_t)(field << 3 | 2);
  if (count >= 128) {
    p->bytes[p->count++] = (uint8_t)(count & 127) | 128;
    p->bytes[p->count++] = (uint8_t)(count >> 7);
  } else {
    p->bytes[p->count++] = (uint8_t)count;
  }
  memcpy(p->bytes + p->count, bytes, count);
  p->count += count;
}

static inline void proto_text(proto *p, int field, const char *text) { proto_bytes(p, field, text, strlen(text)); }
static inline void proto_message(proto *p, int field, const proto *m) { proto_bytes(p, field, m->bytes, m->count); }

static inline proto tiny_value(const char *name) {
  proto rows = {{0}, 0}, columns = {{0}, 0}, shape = {{0}, 0}, tensor = {{0}, 0}, type = {{0}, 0}, value = {{0}, 0};
  proto_text(&rows, 2, "n");
  proto_number(&columns, 1, 2);
  proto_message(&shape, 1, &rows);
  proto_message(&shape, 1, &columns);
  proto_number(&tensor, 1, 1);
  proto_message(&tensor, 2, &shape);
  proto_message(&type, 1, &tensor);
  proto_text(&value, 1, name);
  proto_message(&value, 2, &type);
  return value;
}

/* `op` is "Add", or something else for a model that cannot be loaded. */
static inline proto tiny_model(const char *op) {
  proto node = {{0}, 0}, graph = {{0}, 0}, opset = {{0}, 0}, model = {{0}, 0};
  proto x = tiny_value("x"), y = tiny_value("y");
  proto_text(&node, 1, "x");
  proto_text(&node, 1, "x");
  proto_text(&node, 2, "y");
  proto_text(&node, 3, "the_node");
  proto_text(&node, 4, op);
  proto_message(&graph, 1, &node);
  proto_text(&graph, 2, "tiny");
  proto_message(&graph, 11, &x);
  proto_message(&graph, 12, &y);
  proto_number(&opset, 2, 17);
  proto_number(&model, 1, 8);
  proto_message(&model, 8, &opset);
  proto_message(&model, 7, &graph);
  return model;
}

#endif
