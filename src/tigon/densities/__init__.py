r"""Densities: a model is a log-density, and higher is more probable.

.. math::
    \text{generator:}\quad & z \sim N(0, I_d), \quad y = f(z; W) + \sigma\,\epsilon
      && \text{(1)} \\
    \text{descriptor:}\quad & p(y) = \tfrac{1}{Z(\theta)} \exp(f_\theta(y))\, N(y; 0, s^2 I)
      && \text{(4)}

References:
    Han, Lu, Zhu and Wu, "Alternating back-propagation for generator network", AAAI 2017.
    Xie, Lu, Zhu and Wu, "A theory of generative ConvNet", ICML 2016.
"""
