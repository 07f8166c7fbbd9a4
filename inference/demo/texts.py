"""The words of the page, in English and Chinese: one table, with the same keys in both."""

from __future__ import annotations

LANGUAGES = {"en": "English", "zh": "中文"}

TEXTS = {
    "en": {
        "title": "Image classifier",
        "intro": "{model}, {classes} classes, {size} x {size} pixels. Everything is computed on "
        "this machine.",
        "language": "Language",
        "upload": "Drop a picture here",
        "examples": "Or choose one of the test images",
        "no_examples": "There are no test images to choose from: {reason}",
        "other_classes": "the test images have other classes than the weights.",
        "unreadable": "none of them can be read.",
        "empty": "The answer appears here.",
        "top": "Most likely classes",
        "truth": "This test image is: {name} ({verdict})",
        "right": "right",
        "wrong": "wrong",
        "picture": "The picture as the model sees it",
        "attention rollout": "Attention rollout: the bright patches reach the result most",
        "Grad-CAM": "Grad-CAM: the bright places speak for \u201c{name}\u201d",
        "no_map": "This model has no map of what it looked at.",
        "doubt": "How sure is it?",
        "agree_all": "All {masks} passes with random dropout say \u201c{name}\u201d.",
        "agree_most": "{agree} of {masks} passes with random dropout say \u201c{name}\u201d. The "
        "answer is probably stable.",
        "agree_few": "Only {agree} of {masks} passes with random dropout say \u201c{name}\u201d. "
        "Do not rely on this answer.",
        "spread": "Its probability was between {low} and {high} in nine of ten passes.",
        "no_dropout": "This model was trained without dropout, so repeated passes do not differ "
        "and say nothing about doubt.",
        "bad_file": "This file can't be used as a picture. Please choose another one.",
        "reason": "The reason: {reason}",
        "fault": "The picture could not be classified. The terminal of the program says why.",
    },
    "zh": {
        "title": "图像分类",
        "intro": "{model}，{classes} 个类别，输入 {size} x {size} 像素。所有计算都在本机完成。",
        "language": "语言",
        "upload": "把图片拖到这里",
        "examples": "或者从测试集中选一张",
        "no_examples": "没有可选的测试图像：{reason}",
        "other_classes": "测试集的类别与权重的类别不一致。",
        "unreadable": "测试图像都无法读取。",
        "empty": "结果会显示在这里。",
        "top": "最可能的类别",
        "truth": "这张测试图像的真实类别：{name}（{verdict}）",
        "right": "预测正确",
        "wrong": "预测错误",
        "picture": "模型看到的图片",
        "attention rollout": "注意力展开（attention rollout）：越亮的图像块对结果影响越大",
        "Grad-CAM": "Grad-CAM：越亮的位置越支持“{name}”",
        "no_map": "这个模型无法显示它关注了哪些位置。",
        "doubt": "模型有多大把握？",
        "agree_all": "开启随机失活（dropout）的 {masks} 次前向计算全部预测为“{name}”。",
        "agree_most": "开启随机失活（dropout）的 {masks} 次前向计算中，有 {agree} 次预测为"
        "“{name}”。这个结果很可能是稳定的。",
        "agree_few": "开启随机失活（dropout）的 {masks} 次前向计算中，只有 {agree} 次预测为"
        "“{name}”。请不要依赖这个结果。",
        "spread": "其中九成的前向计算里，该类别的概率在 {low} 到 {high} 之间。",
        "no_dropout": "这个模型训练时没有使用随机失活（dropout），多次前向计算的"
        "结果相同，无法衡量不确定性。",
        "bad_file": "这个文件不能作为图片使用，请换一个文件。",
        "reason": "原因：{reason}",
        "fault": "这张图片分类失败，原因见程序的终端输出。",
    },
}
