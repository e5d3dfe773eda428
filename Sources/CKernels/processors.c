// How many processors this process may keep busy: its affinity mask, and the time that its control groups give it.
#define _GNU_SOURCE
#include "mue_kernels.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int32_t mk_affinity_count(void) {
  unsigned long mask[1024]; // 65536 processors
  memset(mask, 0, sizeof mask);
  if (sched_getaffinity(0, sizeof mask, (cpu_set_t *)mask) >= 0) {
    int32_t count = CPU_COUNT_S(sizeof mask, (cpu_set_t *)mask);
    if (count > 0) return count;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 && online <= INT32_MAX ? (int32_t)online : 1;
}

// The beginning of a file as a string; 0 when it cannot be read. Whatever lies there is not waited for.
static int32_t mk_read_text(const char *path, char *text, size_t size) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return 0;
  size_t length = 0;
  while (length < size - 1) {
    ssize_t got = read(file, text + length, size - 1 - length);
    if (got <= 0) break;
    length += (size_t)got;
  }
  close(file);
  text[length] = 0;
  return length > 0;
}

// A decimal number at *text, which moves behind it; -1 when there is none or it is too large.
static int64_t mk_read_number(const char **text) {
  const char *p = *text;
  while (*p == ' ' || *p == '\t') p++;
  int64_t value = 0;
  if (*p < '0' || *p > '9') return -1;
  for (; *p >= '0' && *p <= '9'; p++) {
    if (value > (INT64_MAX - 9) / 10) return -1;
    value = value * 10 + (*p - '0');
  }
  *text = p;
  return value;
}

// Processors that `quota` of each `period` keeps busy, rounded up; INT32_MAX for no limit or nonsense.
static int32_t mk_share(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return INT32_MAX;
  int64_t count = quota / period + (quota % period != 0);
  return count < INT32_MAX ? (int32_t)count : INT32_MAX;
}

// Of the group in `folder` alone. Version 2: cpu.max, "200000 100000" or "max 100000".
static int32_t mk_limit_v2(const char *folder) {
  char path[PATH_MAX], text[128];
  int length = snprintf(path, sizeof path, "%s/cpu.max", folder);
  if (length < 0 || (size_t)length >= sizeof path || !mk_read_text(path, text, sizeof text)) return INT32_MAX;
  const char *p = text;
  int64_t quota = mk_read_number(&p);
  if (quota < 0 || (*p != ' ' && *p != '\t')) return INT32_MAX;
  return mk_share(quota, mk_read_number(&p));
}

// Version 1: the quota is -1 where there is none.
static int32_t mk_limit_v1(const char *folder) {
  static const char *const names[2] = {"cpu.cfs_quota_us", "cpu.cfs_period_us"};
  int64_t values[2];
  for (int i = 0; i < 2; i++) {
    char path[PATH_MAX], text[128];
    int length = snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    if (length < 0 || (size_t)length >= sizeof path || !mk_read_text(path, text, sizeof text)) return INT32_MAX;
    const char *p = text;
    values[i] = mk_read_number(&p);
  }
  return mk_share(values[0], values[1]);
}

// The smallest limit of a group and all groups around it. `group` is what /proc/self/cgroup says, which a container may
// not see: what is missing limits nothing, and the mount itself always counts.
static int32_t mk_smallest_limit(
  const char *root, const char *mount, const char *group, int32_t (*limit)(const char *folder)) {
  char folder[PATH_MAX];
  int length = snprintf(folder, sizeof folder, "%s%s", root, mount);
  if (length < 0 || (size_t)length >= sizeof folder) return INT32_MAX;
  size_t top = (size_t)length, size = strlen(group);
  int32_t smallest = limit(folder);
  // A group outside the namespace begins with "/..": only the mount is ours.
  if (group[0] != '/' || strstr(group, "..") || top + size >= sizeof folder) return smallest;
  memcpy(folder + top, group, size + 1);
  for (size_t end = top + size; end > top; end--) {
    if (folder[end] != 0 && folder[end] != '/') continue;
    folder[end] = 0;
    int32_t found = limit(folder);
    if (found < smallest) smallest = found;
  }
  return smallest;
}

// Whether the list "cpu,cpuacct" names the controller cpu.
static int32_t mk_names_cpu(const char *list) {
  for (const char *p = list; p; p = strchr(p, ',')) {
    if (*p == ',') p++;
    if (strncmp(p, "cpu", 3) == 0 && (p[3] == 0 || p[3] == ',')) return 1;
  }
  return 0;
}

int32_t mk_processor_limit(const char *root) {
  char path[PATH_MAX], text[8192];
  int length = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  if (length < 0 || (size_t)length >= sizeof path || !mk_read_text(path, text, sizeof text)) return INT32_MAX;
  int32_t smallest = INT32_MAX;
  // Lines "0::/group" (version 2) and "4:cpu,cpuacct:/group" (version 1).
  for (char *line = text; line && *line;) {
    char *end = strchr(line, '\n'), *next = end ? end + 1 : NULL;
    if (end) *end = 0;
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (group) {
      *controllers++ = 0;
      *group++ = 0;
      int32_t found = INT32_MAX;
      if (*controllers == 0) {
        int32_t hybrid = mk_smallest_limit(root, "/sys/fs/cgroup/unified", group, mk_limit_v2);
        found = mk_smallest_limit(root, "/sys/fs/cgroup", group, mk_limit_v2);
        if (hybrid < found) found = hybrid;
      } else if (mk_names_cpu(controllers)) {
        int32_t joined = mk_smallest_limit(root, "/sys/fs/cgroup/cpu,cpuacct", group, mk_limit_v1);
        found = mk_smallest_limit(root, "/sys/fs/cgroup/cpu", group, mk_limit_v1);
        if (joined < found) found = joined;
      }
      if (found < smallest) smallest = found;
    }
    line = next;
  }
  return smallest;
}

int32_t mk_processor_count(void) {
  int32_t mask = mk_affinity_count(), limit = mk_processor_limit("");
  return mask < limit ? mask : limit;
}
