/* metier/train_plugin.h - the one door between the program and libmetier_train.so (LibTorch).
 *
 * A C interface with JSON in and out: the program never sees a LibTorch header, and either side can
 * be rebuilt alone. The plug-in is loaded (dlopen, RTLD_LOCAL) only by training and by --backend
 * torch.
 */
#ifndef METIER_TRAIN_PLUGIN_H_
#define METIER_TRAIN_PLUGIN_H_

#define METIER_TRAIN_ABI 2

#ifdef __cplusplus
extern "C" {
#endif

typedef struct metier_train_callbacks {
  void* context;
  /* One JSON object a call: {"event":"step","step":10,"total_steps":100,"loss":1.5,...} or
   * {"event":"log","text":"..."}. Called from the calling thread. Non-zero asks the plug-in to save
   * a checkpoint and stop. */
  int (*event)(void* context, const char* json);
  /* What only the program can answer, from the calling thread: one JSON object, whose reply is one
   * too and lasts until the next question or the end of the call. What went wrong:
   * {"error":{"code":"not found","message":".."}}.
   *
   * {"question":"rollout","model","adapter","reference","prompts":[[..]],"truths":[[..]],"answers":8,"max_tokens",
   * "end_token","greedy","seed","streams":[..],"rewards":[..]} ->
   * {"answers":[[{"tokens":[..],"ended":true,"reward":1.0, "reference":[..]}]]}
   * (src/train/rollouts.h) */
  const char* (*ask)(void* context, const char* json);
} metier_train_callbacks;

/* METIER_TRAIN_ABI of the plug-in. */
typedef int (*metier_train_abi_fn)(void);

/* Runs one verb:
 *
 * "info" {} -> {"libtorch": "1.13.1", "cuda": false, "threads": 2}
 *
 * "train", a resolved train configuration ->
 * {"steps":..,"final_loss":..,"output":..,"stopped":false,...}
 *
 * "plan", the same -> what the run would need: {"memory":{..},"seconds":{..},"fits":true,...}
 *
 * "logits" {"model","adapter","tokens":[[..]],"device","dtype","out"} -> {"out": "x.safetensors"}
 *
 * "write_adapter", a hypernetwork's folder and a description -> a PEFT directory
 * (src/train/hyper_verb.h)
 *
 * "edit", facts as tokens (src/train/edit_verb.h) -> {"efficacy":..,"facts":[..],..}
 *
 * Returns 0 and a reply, or 1 and {"error":{"code":"not found","message":".."}}. *reply is freed
 * with metier_train_free. Never throws, never exits. One call at a time. */
typedef int (*metier_train_call_fn)(const char* verb, const char* request,
                                    const metier_train_callbacks* callbacks, char** reply);
typedef void (*metier_train_free_fn)(char* reply);

/* Symbols: metier_train_abi, metier_train_call, metier_train_free. */

#ifdef __cplusplus
}
#endif

#endif
