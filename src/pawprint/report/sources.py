"""What a report cites: works, each once, as BibTeX has them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A work. `where` is the journal, the proceedings, or `arXiv`."""

    key: str
    authors: tuple[str, ...]
    title: str
    where: str
    year: int
    address: str  # a DOI or an arXiv number, as a URL

    @property
    def text(self) -> str:
        """`Adler and Brown 2020. Title. Journal.`"""
        names = [author.split(",")[0] for author in self.authors]
        who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
        return f"{who} ({self.year}). {self.title}. {self.where}."

    @property
    def bibtex(self) -> str:
        fields = {"author": " and ".join(self.authors), "title": f"{{{self.title}}}", "journal": self.where,
                  "year": str(self.year), "url": self.address}  # fmt: skip
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@article{{{self.key},\n{lines}\n}}\n"


def _arxiv(key: str, authors: tuple[str, ...], title: str, year: int, number: str) -> Source:
    return Source(key, authors, title, f"arXiv {number}", year, f"https://arxiv.org/abs/{number}")


SOURCES = {
    source.key: source
    for source in (
        _arxiv("resnet", ("He, K.", "Zhang, X.", "Ren, S.", "Sun, J."), "Deep Residual Learning for Image Recognition",
               2015, "1512.03385"),
        Source("pets", ("Parkhi, O. M.", "Vedaldi, A.", "Zisserman, A.", "Jawahar, C. V."), "Cats and Dogs",
               "IEEE Conference on Computer Vision and Pattern Recognition", 2012,
               "https://doi.org/10.1109/CVPR.2012.6248092"),
        _arxiv("adam", ("Kingma, D. P.", "Ba, J."), "Adam: A Method for Stochastic Optimization", 2014, "1412.6980"),
        _arxiv("adamw", ("Loshchilov, I.", "Hutter, F."), "Decoupled Weight Decay Regularization", 2017, "1711.05101"),
        _arxiv("range_test", ("Smith, L. N.",), "Cyclical Learning Rates for Training Neural Networks", 2015,
               "1506.01186"),
        _arxiv("onecycle", ("Smith, L. N.", "Topin, N."),
               "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2017,
               "1708.07120"),
        _arxiv("linear_rule", ("Goyal, P.", "Dollár, P.", "Girshick, R.", "others"),
               "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, "1706.02677"),
        _arxiv("adam_rule", ("Malladi, S.", "Lyu, K.", "Panigrahi, A.", "Arora, S."),
               "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", 2022, "2205.10287"),
        _arxiv("batch_norm", ("Ioffe, S.", "Szegedy, C."),
               "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", 2015,
               "1502.03167"),
        Source("glorot", ("Glorot, X.", "Bengio, Y."),
               "Understanding the Difficulty of Training Deep Feedforward Neural Networks", "AISTATS, PMLR 9", 2010,
               "https://proceedings.mlr.press/v9/glorot10a.html"),
        _arxiv("clipping", ("Pascanu, R.", "Mikolov, T.", "Bengio, Y."),
               "On the Difficulty of Training Recurrent Neural Networks", 2012, "1211.5063"),
        _arxiv("dying_relu", ("Lu, L.", "Shin, Y.", "Su, Y.", "Karniadakis, G. E."),
               "Dying ReLU and Initialization: Theory and Numerical Examples", 2019, "1903.06733"),
        _arxiv("corruptions", ("Hendrycks, D.", "Dietterich, T."),
               "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", 2019, "1903.12261"),
        _arxiv("equivariance", ("Cohen, T. S.", "Welling, M."), "Group Equivariant Convolutional Networks", 2016,
               "1602.07576"),
        _arxiv("calibration", ("Guo, C.", "Pleiss, G.", "Sun, Y.", "Weinberger, K. Q."),
               "On Calibration of Modern Neural Networks", 2017, "1706.04599"),
        Source("ten_crops", ("Krizhevsky, A.", "Sutskever, I.", "Hinton, G. E."),
               "ImageNet Classification with Deep Convolutional Neural Networks",
               "Communications of the ACM 60(6), 84-90", 2017, "https://doi.org/10.1145/3065386"),
        Source("combining", ("Kittler, J.", "Hatef, M.", "Duin, R. P. W.", "Matas, J."), "On Combining Classifiers",
               "IEEE Transactions on Pattern Analysis and Machine Intelligence 20(3), 226-239", 1998,
               "https://doi.org/10.1109/34.667881"),
        _arxiv("aggregation", ("Shanmugam, D.", "Blalock, D.", "Balakrishnan, G.", "Guttag, J."),
               "Better Aggregation in Test-Time Augmentation", 2020, "2011.11156"),
        _arxiv("grad_cam", ("Selvaraju, R. R.", "Cogswell, M.", "Das, A.", "Vedantam, R.", "Parikh, D.", "Batra, D."),
               "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based Localization", 2016, "1610.02391"),
        _arxiv("saliency", ("Simonyan, K.", "Vedaldi, A.", "Zisserman, A."), "Deep Inside Convolutional Networks: "
               "Visualising Image Classification Models and Saliency Maps", 2013, "1312.6034"),
        _arxiv("husky", ("Ribeiro, M. T.", "Singh, S.", "Guestrin, C."),
               '"Why Should I Trust You?": Explaining the Predictions of Any Classifier', 2016, "1602.04938"),
        _arxiv("transfer", ("Yosinski, J.", "Clune, J.", "Bengio, Y.", "Lipson, H."),
               "How Transferable Are Features in Deep Neural Networks?", 2014, "1411.1792"),
        _arxiv("fixmatch", ("Sohn, K.", "Berthelot, D.", "Carlini, N.", "others"),
               "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", 2020,
               "2001.07685"),
        Source("pseudo_label", ("Lee, D.-H.",), "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning "
               "Method for Deep Neural Networks", "ICML Workshop on Challenges in Representation Learning", 2013,
               "https://www.researchgate.net/publication/280581078"),
        _arxiv("randaugment", ("Cubuk, E. D.", "Zoph, B.", "Shlens, J.", "Le, Q. V."),
               "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space", 2019, "1909.13719"),
        _arxiv("mixup", ("Zhang, H.", "Cisse, M.", "Dauphin, Y. N.", "Lopez-Paz, D."),
               "mixup: Beyond Empirical Risk Minimization", 2017, "1710.09412"),
        _arxiv("cutmix", ("Yun, S.", "Han, D.", "Oh, S. J.", "others"),
               "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", 2019,
               "1905.04899"),
        Source("holm", ("Holm, S.",), "A Simple Sequentially Rejective Multiple Test Procedure",
               "Scandinavian Journal of Statistics 6(2), 65-70", 1979, "https://www.jstor.org/stable/4615733"),
        Source("matched_pairs", ("Agresti, A.", "Min, Y."),
               "Simple Improved Confidence Intervals for Comparing Matched Proportions",
               "Statistics in Medicine 24(5), 729-740", 2005, "https://doi.org/10.1002/sim.1781"),
    )
}  # fmt: skip


def bibliography(keys: set[str]) -> str:
    """The BibTeX file of these, in the order of SOURCES."""
    return "\n".join(source.bibtex for key, source in SOURCES.items() if key in keys)
