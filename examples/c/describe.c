/* Lists the inputs and outputs of an ONNX file or a bundle.   usage: describe MODEL */
#include <mue.h>
#include <stdio.h>
#include <string.h>

static void print(const char *kind, const mue_tensor_info *info) {
  int32_t axis;
  printf("%s %s: type %d, [", kind, info->name, (int)info->dtype);
  for (axis = 0; axis < info->rank; axis++) {
    if (info->shape[axis] >= 0) {
      printf("%s%lld", axis ? ", " : "", (long long)info->shape[axis]);
    } else {
      printf("%s%s", axis ? ", " : "", info->dimension_names[axis][0] ? info->dimension_names[axis] : "?");
    }
  }
  printf("]\n");
}

int main(int argc, char **argv) {
  mue_model *model = NULL;
  mue_error *error;
  size_t index;
  int status = 0;
  if (argc != 2) {
    fprintf(stderr, "usage: %s MODEL\n", argv[0]);
    return 2;
  }
  error = mue_model_open(argv[1], strlen(argv[1]), NULL, &model);
  for (index = 0; !error && index < mue_model_input_count(model); index++) {
    mue_tensor_info info = MUE_TENSOR_INFO_INIT;
    error = mue_model_input(model, index, &info);
    if (!error) print("input", &info);
  }
  for (index = 0; !error && index < mue_model_output_count(model); index++) {
    mue_tensor_info info = MUE_TENSOR_INFO_INIT;
    error = mue_model_output(model, index, &info);
    if (!error) print("output", &info);
  }
  if (error) {
    fprintf(stderr, "%s\n", mue_error_description(error));
    status = 1;
  }
  mue_error_free(error);
  mue_model_free(model);
  return status;
}
