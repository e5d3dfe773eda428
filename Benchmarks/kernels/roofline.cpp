// Products and convolutions beside the limits of the processor and beside oneDNN.
//   roofline [--json] [--isa portable|avx2|...]
//   roofline --peaks THREADS [--isa ...]: the limits of several threads together, as JSON
#include "roofline.h"

#include <cmath>
#include <unistd.h>

Row measure(Row row, const Work &work, const std::function<void()> &ours, const Rival &rival) {
  const char *isa = mk_isa_name();
  peak_loop peak = work.weights == MK_WEIGHTS_INT8 ? (work.few ? peak_int16(isa) : peak_int8(isa))
    : work.weights == MK_WEIGHTS_BF16 || work.weights == MK_WEIGHTS_BF16_CODED ? peak_bf16(isa)
                                                                               : peak_float32(isa);
  const long rounds = 10000;
  size_t read = std::max(size_t(work.bytes) / 1024, size_t(1)) * 1024;
  auto other = memory(read);
  std::vector<std::function<void()>> rivals = {ours, [&] { peak.run(rounds); }, [&] { peak_read(other.get(), read); }};
  if (rival.run) rivals.push_back(rival.run);
  auto times = race(rivals, 0.6);
  double arithmetic = work.gflop / (peak.operations * rounds * 1e-9 / times[1]);
  row.gflop = work.gflop;
  row.gflops = work.gflop / times[0];
  row.limit = work.gflop / std::max(arithmetic, times[2]);
  row.is_memory = times[2] > arithmetic;
  row.theirs = rival.run ? work.gflop / times[3] : 0;
  row.onednn = rival.name;
  return row;
}

static void print_json(const std::vector<Row> &rows) {
  printf("{\"isa\": \"%s\", \"threads\": 1, \"kernels\": [", mk_isa_name());
  for (const Row &row : rows) {
    printf("%s\n  {\"name\": \"%s\", \"shape\": \"%s\", \"weights\": \"%s\", \"gflops\": %.2f, \"limit_gflops\": %.2f, "
      "\"bound\": \"%s\", \"reached\": %.3f, ", &row == &rows[0] ? "" : ",", row.name.c_str(), row.shape.c_str(),
      row.weights.c_str(), row.gflops, row.limit, row.is_memory ? "memory" : "arithmetic", row.gflops / row.limit);
    if (row.theirs > 0) {
      printf("\"onednn_gflops\": %.2f, \"of_onednn\": %.3f, ", row.theirs, row.gflops / row.theirs);
    } else {
      printf("\"onednn_gflops\": null, \"of_onednn\": null, ");
    }
    printf("\"onednn\": \"%s\", \"gflop\": %.4f, \"uses\": %ld}", row.onednn.c_str(), row.gflop, row.uses);
  }
  printf("\n]}\n");
}

static void print_table(const std::vector<Row> &rows) {
  printf("ours: %s; GFLOP/s of one thread\n", mk_isa_name());
  printf("%-11s %-34s %-8s %8s %8s %8s %8s %8s %8s\n", "", "shape", "weights", "ours", "limit", "by", "reached", "oneDNN",
    "/oneDNN");
  for (const Row &row : rows) {
    printf("%-11s %-34s %-8s %8.1f %8.1f %8s %8.2f ", row.name.c_str(), row.shape.c_str(), row.weights.c_str(), row.gflops,
      row.limit, row.is_memory ? "memory" : "sums", row.gflops / row.limit);
    if (row.theirs > 0) {
      printf("%8.1f %8.2f  %s\n", row.theirs, row.gflops / row.theirs, row.onednn.c_str());
    } else {
      printf("%8s %8s  %s\n", "-", "-", row.onednn.c_str());
    }
  }
}

int main(int argc, char **argv) {
  if (!getenv("OMP_NUM_THREADS")) {
    // oneDNN's OpenMP reads it when the process starts.
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  bool json = false;
  int threads = 0;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--json")) {
      json = true;
    } else if (!strcmp(argv[i], "--isa") && i + 1 < argc) {
      std::string wanted = argv[++i];
      int isa = 0;
      while (isa < 16 && !(mk_isa_force(isa) && wanted == mk_isa_name())) isa++;
      if (isa == 16) {
        fprintf(stderr, "roofline: this processor does not have '%s'\n", wanted.c_str());
        return 1;
      }
    } else if (!strcmp(argv[i], "--peaks") && i + 1 < argc && atoi(argv[i + 1]) > 0) {
      threads = atoi(argv[++i]);
    } else {
      fprintf(stderr, "usage: roofline [--json] [--peaks THREADS] [--isa portable|avx2|avx512|...]\n");
      return 2;
    }
  }
  if (!peak_float32(mk_isa_name()).run) {
    fprintf(stderr, "roofline: no peak is known for '%s'\n", mk_isa_name());
    return 1;
  }
  if (threads > 0) {
    Peaks peaks = measure_peaks(threads);
    printf("{\"isa\": \"%s\", \"threads\": %d, \"float32\": %.1f, \"bf16\": %.1f, \"int16\": %.1f, \"int8\": %.1f, \"read\": %.1f, "
      "\"most_read\": %.1f}\n", mk_isa_name(), threads, peaks.float32, peaks.bf16, peaks.int16, peaks.int8, peaks.read, peaks.most_read);
    return 0;
  }
  std::vector<Row> rows = product_rows();
  for (const Row &row : convolution_rows()) rows.push_back(row);
  if (json) {
    print_json(rows);
  } else {
    print_table(rows);
  }
}
