"""What is asked of every study beside its own questions: in English and Chinese, with the code that answers and the
works that it goes by. A study's own questions stand in its params.yaml (`asks`, `asks_zh`)."""

from __future__ import annotations

from dataclasses import dataclass

from pawprint.types import StudySettings


@dataclass(frozen=True)
class Asked:
    """A question that a stage, a check or a probe answers. `en` empty: the finding says it."""

    zh: str
    en: str = ""
    code: tuple[str, ...] = ()  # places for `pawprint.report.quote`
    sources: tuple[str, ...] = ()
    decides: str = ""  # what it is that is so or not, where the answer is yes or no


LOGGED = Asked(
    "训练的日志与配置一致吗？曲线与指标文件一致吗？", "Was everything logged as it was asked for?",
    ("training.loop:train_step", "report.readings.logged:curves_apart"),
    decides="all of it agrees",
)  # fmt: skip
CONVERGED = Asked(
    "训练收敛了吗？有没有过拟合或欠拟合？", "Has training converged, and does it over-fit or under-fit?",
    ("training.loop:end_epoch", "symptoms.trends:trend"),
    decides="all converged",
)  # fmt: skip
SYMPTOMS = Asked(
    "每次训练有哪些症状？证据是什么？可以试什么？",
    "What do the symptoms say of each run: on what evidence, and what is to be tried?",
    ("symptoms.diagnose:diagnose",),
    decides="a run has an alarm",
)  # fmt: skip
CHECKS = {
    "leakage": Asked("训练集、验证集和测试集之间有没有相同的图片？", code=("checks.leakage:run",)),
    "output_shape": Asked("模型输出的形状与标签相符吗？", code=("checks.output_shape:run",)),
    "parameter_update": Asked("训练一步之后，每个可训练的参数都变了吗？", code=("checks.parameter_update:run",)),
    "learning_rate": Asked("所设的学习率合理吗？", code=("checks.learning_rate:run",), sources=("range_test",)),
    "initial_loss": Asked("未训练模型的损失等于随机猜测的损失吗？", code=("checks.initial_loss:run",)),
    "overfit_one_batch": Asked("模型能记住一个批次吗？", code=("checks.overfit_one_batch:run",)),
}
PROBES = {
    "dead_relu": Asked(
        "哪些层会有死亡的ReLU？训练好的模型里有吗？", code=("probes.dead_relu:run",),
        sources=("dying_relu", "batch_norm"),
    ),
    "brightness": Asked(
        "图片变暗后，模型还能识别吗？", code=("probes.brightness:run",), sources=("corruptions",)
    ),
    "rotation": Asked(
        "图片旋转后，模型还能识别吗？怎样改进？", code=("probes.rotation:run",), sources=("equivariance",)
    ),
    "normalization": Asked(
        "测试集的归一化与训练时一致吗？不一致会怎样？", code=("probes.normalization:run",)
    ),
    "calibration": Asked(
        "模型说有九成把握时，真的有九成对吗？", code=("probes.calibration:run",), sources=("calibration",)
    ),
    "corruptions": Asked(
        "图片有噪声、模糊、压缩或对比度低时，模型还能识别吗？", code=("probes.corruptions:run",),
        sources=("corruptions",),
    ),
    "tta": Asked(
        "测试时增强（对一张图片的多个视图的输出取平均或投票）能提高多少准确率？代价是多少？",
        code=("test_time_augmentation:averaged", "probes.tta:run"), sources=("ten_crops", "combining", "aggregation"),
    ),
    "filters": Asked(
        "看到像素的第一层滤波器学到了形状吗？", code=("probes.filters:run", "inspection.filters:roughness")
    ),
    "feature_maps": Asked(
        "各层的输出随图片变化吗？有多少单元几乎不变？",
        code=("probes.feature_maps:run", "inspection.feature_maps:near_constant"),
    ),
    "grad_cam": Asked(
        "判断对的和判断错的图片，分别依据图片的哪一部分？",
        code=("probes.grad_cam:run", "inspection.evidence:evidence"),
        sources=("grad_cam", "saliency", "husky"),
    ),
}  # fmt: skip
SLOWNESS = ("diagnostics.slowness:verdicts",)
NOISE = ("comparison:judged", "comparison:pooled")

# What a question of the study is about → the code that did it and the works it goes by.
ABOUT = {
    "learning_rate": Asked("", code=("training.optimizers:build_optimizer", "report.readings.learning_rate:best_rate"),
                           sources=("adam", "holm"), decides="one rate is best"),
    "gradients": Asked("", code=("diagnostics.gradient_norm:gradient_norm", "diagnostics.gradient_norm:layer_gradients",
                                 "symptoms.signs:signs"), sources=("glorot", "clipping"),
                       decides="exploding or vanishing"),
    "schedule": Asked("", code=("training.schedules:build_schedule", "report.readings.schedule:shape"),
                      sources=("onecycle",), decides="it helps"),
    "batch_size": Asked("", code=("types:RunSpec.scaled_lr", "types:RunSpec.scaled_betas",
                                  "report.readings.batch_size:holds"), sources=("linear_rule", "adam_rule"),
                        decides="the rule holds"),
    "pretraining": Asked("", code=("models:starting_model", "report.readings.pretraining:pretraining"),
                         sources=("transfer", "resnet"), decides="it helps"),
    "unlabelled": Asked("", code=("objectives.pseudo_labels:from_own_labels", "objectives.pseudo_labels:pseudo_labels",
                                  "report.readings.unlabelled:unlabelled"), sources=("fixmatch", "pseudo_label"),
                        decides="it helps"),
    "views": Asked("", code=("data.views:steps_of", "data.views:View.draw"), sources=("randaugment", "mixup",
                                                                                              "cutmix")),
    "runs": Asked("", code=NOISE, sources=("holm", "matched_pairs")),
}  # fmt: skip


def words(name: str, study: StudySettings) -> str:
    """A question of the study, in the report's language where it is given in it."""
    of_language = study.asks_zh if study.language == "zh" else study.asks
    return of_language.get(name) or study.asks.get(name, name.replace("_", " "))


def in_language(asked: Asked | None, study: StudySettings, en: str) -> str:
    """A question of every study; `en` is what the finding says it is."""
    return asked.zh if asked and study.language == "zh" else (asked.en if asked and asked.en else en)


def quoted() -> set[str]:
    """Every place that a report may quote."""
    asked = (LOGGED, CONVERGED, SYMPTOMS, *CHECKS.values(), *PROBES.values(), *ABOUT.values())
    return {*SLOWNESS, *(place for one in asked for place in one.code)}
