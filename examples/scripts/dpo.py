"""Preferences with TRL's DPOTrainer: each row's answer is better than its `rejected` one.

The rows need the column beside the messages: FineTuneSession(..., keep=True).
"""

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from azft.training import current_task

task = current_task()
model, tokenizer = task.load_model(), task.load_tokenizer()
pairs = Dataset.from_list([
    {
        "prompt": row["messages"][:-1],
        "chosen": row["messages"][-1:],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }
    for row in task.rows("train")
])  # fmt: skip
settings = DPOConfig(
    output_dir=str(task.checkpoints),
    num_train_epochs=task.parameters.integer("num_train_epochs"),
    per_device_train_batch_size=task.parameters.integer("per_device_train_batch_size"),
    learning_rate=task.parameters.number("learning_rate"),
    max_steps=task.parameters.integer("max_steps"),
    seed=task.parameters.integer("seed"),
    logging_steps=1,
    save_strategy="no",
    report_to=[],
    disable_tqdm=True,
    use_cpu=True,
)
trainer = DPOTrainer(model=model, args=settings, train_dataset=pairs, processing_class=tokenizer)
trainer.train()
for entry in trainer.state.log_history:
    if "loss" in entry:
        task.report(step=int(entry["step"]), total=trainer.state.max_steps, loss=float(entry["loss"]))
task.save(trainer.model, tokenizer)
