//! Light, colour and grain of a shot.

use image::RgbImage;

use super::rng::Rng;

/// How a shot is lit and developed. The same values give the same picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Light {
    /// Brightness factor.
    pub(crate) gain: f32,
    /// Exponent on brightness; above 1 darkens the middle tones.
    pub(crate) gamma: f32,
    /// Factor on the distance from middle grey.
    pub(crate) contrast: f32,
    /// Factor on red and divisor of blue.
    pub(crate) warmth: f32,
    /// Change of brightness per face height to the right and downwards: a lamp
    /// at the side.
    pub(crate) slope: [f32; 2],
    /// Centre of the lit face in the shot and its height, pixels.
    pub(crate) face: [f32; 3],
    /// Strength of sharpening; 0 leaves the picture soft.
    pub(crate) sharpen: f32,
    /// Half of the range of the grain, in grey levels.
    pub(crate) grain: f32,
    /// Seed of the grain.
    pub(crate) seed: u64,
}

impl Light {
    /// A light drawn at random for a face at `face` (see [`Light::face`]).
    /// Enlarged shots are sharpened more.
    pub(crate) fn random(face: [f32; 3], scale: f32, rng: &mut Rng) -> Self {
        // From every side about equally: the side is what changes a face most.
        let (sin, cos) = rng.between(0.0, std::f32::consts::TAU).sin_cos();
        let strength = rng.between(0.1, 0.75);
        Self {
            gain: rng.between(0.85, 1.15),
            gamma: rng.between(0.75, 1.35),
            contrast: rng.between(0.85, 1.15),
            warmth: rng.between(0.94, 1.07),
            slope: [strength * cos, strength * sin],
            face,
            sharpen: if scale > 1.0 {
                rng.between(0.5, 0.9)
            } else {
                rng.between(0.1, 0.4)
            },
            grain: rng.between(1.0, 5.0),
            seed: rng.below(1 << 30) as u64,
        }
    }

    /// Lights and develops a shot.
    pub(crate) fn develop(&self, shot: &RgbImage) -> RgbImage {
        // image's unsharpen takes no strength: mix with the blurred picture.
        let soft = image::imageops::fast_blur(shot, 1.2);
        let mut grain = Rng::new(self.seed, "grain");
        let tint = [self.warmth, 1.0, 1.0 / self.warmth];
        let mut developed = shot.clone();
        for ((x, y, pixel), soft) in developed.enumerate_pixels_mut().zip(soft.pixels()) {
            let across = (x as f32 - self.face[0]) / self.face[2];
            let down = (y as f32 - self.face[1]) / self.face[2];
            let lamp = (1.0 + self.slope[0] * across + self.slope[1] * down).clamp(0.5, 1.5);
            let noise = grain.between(-self.grain, self.grain);
            for ((value, soft), tint) in pixel.0.iter_mut().zip(soft.0).zip(tint) {
                let sharp =
                    f32::from(*value) + self.sharpen * (f32::from(*value) - f32::from(soft));
                let lit = (sharp / 255.0 * self.gain * lamp * tint).clamp(0.0, 1.0);
                let toned = (lit.powf(self.gamma) - 0.5) * self.contrast + 0.5;
                *value = (toned * 255.0 + noise).round().clamp(0.0, 255.0) as u8;
            }
        }
        developed
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn neutral() -> Light {
        Light {
            gain: 1.0,
            gamma: 1.0,
            contrast: 1.0,
            warmth: 1.0,
            slope: [0.0, 0.0],
            face: [10.0, 10.0, 10.0],
            sharpen: 0.0,
            grain: 0.0,
            seed: 1,
        }
    }

    #[test]
    fn a_neutral_light_changes_nothing() {
        let shot = RgbImage::from_fn(20, 15, |x, y| Rgb([x as u8 * 9, y as u8 * 11, 90]));
        assert_eq!(neutral().develop(&shot), shot);
    }

    #[test]
    fn the_lamp_brightens_its_side_and_warmth_reddens() {
        let shot = RgbImage::from_pixel(20, 15, Rgb([100, 100, 100]));
        let mut light = neutral();
        light.slope = [0.4, 0.0];
        light.warmth = 1.1;
        let lit = light.develop(&shot);
        assert!(lit.get_pixel(19, 3).0[0] > lit.get_pixel(0, 3).0[0] + 40);
        assert_eq!(lit.get_pixel(10, 2), lit.get_pixel(10, 12));
        assert_eq!(lit.get_pixel(10, 5), &Rgb([110, 100, 91]));
    }
}
