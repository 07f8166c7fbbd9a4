"""Sentences of a page: how to read a chart, and what is missing; English and Chinese."""

NOTES = {
    "unfinished": (
        "This run is not finished: {done:,} steps are logged. Figures of the test images come "
        "with the end of the run.",
        "本次训练尚未结束，已记录到第 {done:,} 步。测试集指标在训练结束后给出。",
    ),
    "missing": (
        "No pictures and no tests of the model on this page:",
        "本页没有图片，也没有对模型的测试，原因：",
    ),
    "interval_note": (
        "The interval says how far top-1 could be off because the test images are a sample "
        "(Wilson). It does not contain what another seed would change.",
        "置信区间（Wilson）只反映测试图像的抽样误差，不包含更换随机种子带来的波动。",
    ),
    "some_images": (
        "The charts below use {used:,} of the {total:,} test images, chosen at random with a fixed "
        "seed; --images N uses others. The figures above are of all images.",
        "下面的图表使用 {total:,} 张测试图像中的 {used:,} 张（固定种子随机抽取，可用 --images N "
        "指定数量）；上面的指标基于全部图像。",
    ),
    "no_records": (
        "The run has logged no values yet.",
        "本次训练还没有记录任何数值。",
    ),
    "curves_note": (
        "A click on a name in a legend hides its line; drag to zoom, double-click to go back.",
        "点击图例可隐藏或显示曲线；拖动可放大，双击还原。",
    ),
    "classes_note": (
        "The lines at the bars are Wilson intervals at 95 %: classes with few images are "
        "uncertain.",
        "误差线为 95% Wilson 置信区间：图像少的类别不确定性大。",
    ),
    "confusion_note": (
        "Rows are true classes. The colour is of mistakes only: the darker, the more.",
        "行为真实类别。颜色只表示错误预测的数量：越深越多。",
    ),
    "most_confused": (
        "Shown are the {shown} of {count:,} classes with the most mistakes.",
        "这里只显示 {count:,} 个类别中错误最多的 {shown} 个。",
    ),
    "click_a_cell": (
        "Point at a cell to see its pictures; a click keeps them, another one lets them go.",
        "将鼠标移到单元格上可查看其中的图片，点击可固定显示，再次点击取消固定。",
    ),
    "certain_mistakes_note": (
        "The most certain first. Look at their labels: a mistake of which the model is very "
        "certain may be a wrong label.",
        "按置信度由高到低排列。请检查标签：置信度很高的错误可能来自标注错误。",
    ),
    "uncertain_hits_note": (
        "Right, with the lowest confidence: more training images like these may help.",
        "预测正确但置信度最低：增加这类训练图像可能有帮助。",
    ),
    "too_few": (
        "There are too few images for a temperature.",
        "图像太少，无法拟合温度。",
    ),
    "calibration_note": (
        "On the diagonal a confidence of 90 % is right in 90 % of the cases; below it the model is "
        "too certain. ECE has 15 bins of equal width. One temperature divides all logits "
        "(Guo et al., arXiv:1706.04599); it changes no prediction.",
        "落在对角线上表示置信度 90% 的预测有 90% 正确；低于对角线表示模型过于自信。ECE 使用 15 "
        "个等宽区间。温度缩放用同一个温度去除所有 logits（Guo 等，arXiv:1706.04599），"
        "不改变预测类别。",
    ),
    "temperature_from_val": (
        "The temperature was fitted on {count:,} validation images.",
        "温度在 {count:,} 张验证图像上拟合。",
    ),
    "temperature_from_halves": (
        "There are no validation images: each half of the test images is scaled by the temperature "
        "of the other half.",
        "没有验证图像：测试图像分为两半，每一半用另一半上拟合的温度缩放。",
    ),
    "no_noise": (
        "The model has no dropout, so all passes are the same.",
        "模型没有随机失活（dropout），因此多次前向结果完全相同。",
    ),
    "noise_note": (
        "{images:,} test images pass through the model {masks} times, each time with other dropout "
        "masks. KL is the mean over ordered pairs of passes; agreement is the share of pairs that "
        "name the same class; spread is the standard deviation of a logit. A higher drop rate "
        "alone makes the passes differ more.",
        "{images:,} 张测试图像各做 {masks} 次前向，每次使用不同的随机失活（dropout）掩码。"
        "KL 是对所有有序前向对的均值；一致率是预测类别相同的前向对所占的比例；"
        "离散度是 logit 的标准差。失活率越高，各次前向的差异本来就越大。",
    ),
    "noise_rdrop": (
        "R-Drop trains the passes to agree: KL and spread become small.",
        "R-Drop 让各次前向趋于一致：KL 和离散度变小。",
    ),
    "scaling_worse": (
        "Here it does not help: the ECE grows.",
        "这里温度缩放没有帮助：ECE 变大。",
    ),
    "several_differ": (
        "The settings differ in more than one field ({fields}), so no difference between them can "
        "be put down to one of these alone.",
        "各组设置有多个字段不同（{fields}），因此不能把差异归因于其中任何一个字段。",
    ),
    "mixed_note": (
        "Training accuracy is measured on mixed or augmented images, so it may be lower than that "
        "of validation.",
        "训练准确率是在混合或增强后的图像上测得的，因此可能低于验证准确率。",
    ),
    "highest": (
        "Highest test top-1: {name}, {figure} % (n = {count}).",
        "测试集 top-1 最高：{name}，{figure}%（n = {count}）。",
    ),
    "right_of": (
        "{hits:,} of {count:,} test images are right: {top1}.",
        "{count:,} 张测试图像中预测正确 {hits:,} 张：{top1}。",
    ),
    "noise_alone": (
        "To see it against the same model without R-Drop, give both runs: "
        "python -m tools.report RUN OTHER_RUN.",
        "若要与不使用 R-Drop 的同一模型对比，请同时给出两次训练："
        "python -m tools.report RUN OTHER_RUN。",
    ),
    "noise_rates": (
        "The models have different drop rates: {rates}.",
        "各模型的随机失活率不同：{rates}。",
    ),
    "attention_note": (
        "Bright is where the model looks: attention from the class token to the patches. Rollout "
        "multiplies the attention of all blocks (Abnar and Zuidema, arXiv:2005.00928); the last "
        "block's is the mean over its heads.",
        "越亮表示模型越关注该处：类别 token 对各图像块的注意力。注意力展开把所有块的"
        "注意力相乘（Abnar 和 Zuidema，arXiv:2005.00928）；最后一个块的注意力取各注意力头的均值。",
    ),
    "grad_cam_note": (
        "Bright is what speaks for the predicted class: Grad-CAM (Selvaraju et al., "
        "arXiv:1610.02391).",
        "越亮表示该处越支持预测类别：Grad-CAM（Selvaraju 等，arXiv:1610.02391）。",
    ),
    "settings_note": (
        "Fields that differ from the config file of the run, or from the default; what this run "
        "itself changed is bold.",
        "与配置文件或默认值不同的字段；本次训练自行修改的值以粗体显示。",
    ),
    "as_base": ("All fields are as in the base.", "所有字段与基础配置相同。"),
    "groups_note": (
        "Runs that differ only in the seed are one setting: mean ± standard deviation over seeds. "
        "The interval (Wilson) is of a single run's test images.",
        "只有随机种子不同的训练归为一组：各随机种子的均值 ± 标准差。置信区间（Wilson）"
        "只用于单次训练，反映测试图像的抽样误差。",
    ),
    "band_note": (
        "Lines are means over seeds, the band one standard deviation to each side.",
        "曲线为各随机种子的均值，阴影带为正负一个标准差。",
    ),
    "paired_note": (
        "Each setting minus {name}, in percentage points, on the same seeds or the same test "
        "images, with a 95 % interval. Of many comparisons some have a small p by chance.",
        "各组设置减去“{name}”的差值（百分点），在相同随机种子或相同测试图像上配对比较，"
        "附 95% 置信区间。比较次数多时，总会有一些 p 值只是碰巧偏小。",
    ),
    "no_pairs": (
        "No setting has two seeds in common with the first, or weights and test images that both "
        "models have seen.",
        "没有与第一组共有至少两个随机种子的设置，也没有两个模型都测试过的图像。",
    ),
    "paste_note": (
        "The difference is to the first row. LaTeX needs the package booktabs.",
        "差值相对于第一行。LaTeX 需要 booktabs 宏包。",
    ),
    "other_classes": (
        "These runs have other classes than {name}: {others}. Their figures are not of the same "
        "task.",
        "以下训练的类别与“{name}”不同：{others}。它们的指标对应的不是同一任务。",
    ),
}
